-- Settle attempts whose fence holds, each task found by its key and changed at its place. One that somebody moved
-- meanwhile is not settled here; the batch is then looked at closely.
UPDATE tasks t SET state = r.state, reason = r.reason, due_at = r.due_at, holds = r.holds,
    failures = r.failures, rescues = r.rescues, ended_at = r.ended_at, settled = r.settled,
    missing = r.missing
FROM json_to_recordset(:rows::json) AS r (state text, reason text, due_at double precision, holds boolean,
    failures integer, rescues integer, ended_at double precision, settled integer, missing integer, run bigint, number bigint,
    attempt integer, worker text)
CROSS JOIN LATERAL (
    SELECT own.ctid AS at FROM tasks own WHERE own.run_id = r.run AND own.number = r.number OFFSET 0
) found
WHERE t.ctid = found.at
    AND CASE WHEN t.state = 'running' THEN t.attempt = r.attempt AND t.worker = r.worker ELSE false END
