-- Count down what tasks wait for; at zero they are ready, unless something is unmet, serial or left to decide.
UPDATE tasks t SET missing = t.missing - r.by, unmet = t.unmet + r.unmet, width = coalesce(r.width, t.width),
    state = CASE WHEN t.state = 'pending' AND t.missing = r.by AND t.unmet + r.unmet = 0 AND t.serial_key IS NULL
        AND NOT r.decide THEN 'ready' ELSE t.state END
FROM json_to_recordset(:rows::json) AS r (by integer, unmet integer, width integer, decide boolean, run bigint,
    number bigint)
{found} AND CASE WHEN t.state IN ('pending', 'waiting', 'cancelled') THEN true ELSE false END
RETURNING {arrived}
