-- Have reviews of a run asked again that nobody is asked any more.
UPDATE tasks SET state = 'ready', due_at = NULL WHERE run_id = :run AND node = :node AND (state = 'waiting' OR state = 'ready')
