-- Have a failed task wait for the end of the newest run that it was, which goes on: that one's failure is undone.
UPDATE tasks SET state = 'pending', missing = 1, unmet = 0, reason = NULL, due_at = NULL, ended_at = NULL, held = FALSE,
    failures = (SELECT count(*) FROM runs c WHERE c.parent = :run AND c.parent_task = :number) - 1
WHERE run_id = :run AND number = :number AND state = 'failed'
