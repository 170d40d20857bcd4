-- Settle attempts that simply succeeded and whose fence holds, each task found by its key and changed at its place.
UPDATE tasks t SET state = 'succeeded', result = r.result, reason = NULL, due_at = NULL, holds = false,
    ended_at = r.ended_at, settled = t.attempt
FROM json_to_recordset(:rows::json) AS r (result text, ended_at double precision, run bigint, number bigint,
    attempt integer, worker text)
CROSS JOIN LATERAL (
    SELECT own.ctid AS at FROM tasks own WHERE own.run_id = r.run AND own.number = r.number OFFSET 0
) found
WHERE t.ctid = found.at
    AND CASE WHEN t.state = 'running' THEN t.attempt = r.attempt AND t.worker = r.worker ELSE false END
