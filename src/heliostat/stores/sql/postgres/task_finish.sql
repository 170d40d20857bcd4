-- Settle pending tasks that need no attempt.
UPDATE tasks t SET state = r.state, reason = r.reason, width = r.width, ended_at = r.ended_at
FROM json_to_recordset(:rows::json) AS r (state text, reason text, width integer, ended_at double precision, run bigint,
    number bigint)
{found}
