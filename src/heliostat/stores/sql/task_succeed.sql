-- Settle attempts that simply succeeded and whose fence holds.
UPDATE tasks SET state = 'succeeded', result = :result, reason = NULL, due_at = NULL, holds = 0, ended_at = :ended_at,
    settled = attempt
WHERE run_id = :run AND number = :number AND state = 'running' AND attempt = :attempt AND worker = :worker
