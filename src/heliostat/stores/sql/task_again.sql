-- Give a failed task another attempt, in its turn.
UPDATE tasks SET state = CASE WHEN serial_key IS NULL THEN 'ready' ELSE 'pending' END, reason = NULL, due_at = NULL,
    ended_at = NULL, held = FALSE, unmet = 0
WHERE run_id = :run AND number = :number AND state = 'failed'
