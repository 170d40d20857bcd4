-- Write locked runs, each found by its key and, since it is locked, changed at its place. ``leftover`` marks ended ones
-- whose tasks are not all final.
UPDATE runs t SET state = r.state, paused = r.paused, closing = r.closing, open = r.open, last = r.last,
    result = r.result, reason = r.reason, ended_at = r.ended_at,
    leftover = r.open > 0 AND r.state NOT IN ('pending', 'active')
FROM json_to_recordset(:rows::json) AS r (id bigint, state text, paused boolean, closing boolean, open bigint,
    last bigint, result text, reason text, ended_at double precision)
CROSS JOIN LATERAL (SELECT own.ctid AS at FROM runs own WHERE own.id = r.id OFFSET 0) found
WHERE t.ctid = found.at
