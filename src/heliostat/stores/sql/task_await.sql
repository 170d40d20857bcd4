-- Have a failed task wait for the end of its run, which goes on: its failure is undone.
UPDATE tasks SET state = 'pending', missing = 1, failures = failures - 1, reason = NULL, due_at = NULL,
    ended_at = NULL, held = FALSE
WHERE run_id = :run AND number = :number AND state = 'failed'
