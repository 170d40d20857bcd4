-- Settle attempts whose fence holds. The fence stands in a CASE so that only the primary key leads to the rows.
UPDATE tasks t SET state = r.state, result = r.result, reason = r.reason, due_at = r.due_at, holds = r.holds,
    failures = r.failures, rescues = r.rescues, ended_at = r.ended_at, settled = r.settled
FROM json_to_recordset(:rows::json) AS r (state text, result text, reason text, due_at double precision, holds boolean,
    failures integer, rescues integer, ended_at double precision, settled integer, run bigint, number bigint,
    attempt integer, worker text)
WHERE t.run_id = r.run AND t.number = r.number
    AND CASE WHEN t.state = 'running' THEN t.attempt = r.attempt AND t.worker = r.worker ELSE false END
