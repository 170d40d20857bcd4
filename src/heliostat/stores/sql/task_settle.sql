-- Settle attempts whose fence holds, in any other way.
UPDATE tasks SET state = :state, reason = :reason, due_at = :due_at, holds = :holds,
    failures = :failures, rescues = :rescues, ended_at = :ended_at, settled = :settled,
    missing = :missing
WHERE run_id = :run AND number = :number AND state = 'running' AND attempt = :attempt AND worker = :worker
