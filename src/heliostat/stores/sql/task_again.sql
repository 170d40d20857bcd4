-- Give a failed task another attempt, in its turn, and if its gate is shut, when that opens.
UPDATE tasks SET state = CASE WHEN serial_key IS NULL AND :missing = 0 THEN 'ready' ELSE 'pending' END,
    missing = :missing, unmet = :unmet, reason = NULL, due_at = NULL, ended_at = NULL, held = FALSE
WHERE run_id = :run AND number = :number AND state = 'failed'
