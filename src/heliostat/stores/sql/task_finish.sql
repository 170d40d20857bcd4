-- Settle pending tasks that need no attempt.
UPDATE tasks SET state = :state, reason = :reason, width = :width, ended_at = :ended_at
WHERE run_id = :run AND number = :number
