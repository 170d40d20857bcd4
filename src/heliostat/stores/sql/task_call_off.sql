-- Mark a running task as one that is to fail, since somebody has cancelled it.
UPDATE tasks SET unmet = 1, reason = :reason WHERE run_id = :run AND number = :number AND state = 'running' AND unmet = 0
