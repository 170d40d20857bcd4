-- Of a serial key that nobody holds, ready the first task whose inputs are there. (OFFSET 0: looked up key by key.)
WITH heads AS MATERIALIZED (
    SELECT h.at
    FROM json_to_recordset(:rows::json) AS k (run bigint, key text)
    CROSS JOIN LATERAL (
        SELECT t.ctid AS at FROM tasks t
        WHERE t.run_id = k.run AND t.serial_key = k.key AND t.state = 'pending' AND t.missing = 0 AND t.unmet = 0
        ORDER BY t.priority DESC, t.number LIMIT 1 FOR NO KEY UPDATE
    ) h
    WHERE NOT EXISTS (SELECT 1 FROM tasks o WHERE o.run_id = k.run AND o.serial_key = k.key AND o.holds LIMIT 1 OFFSET 0)
)
UPDATE tasks t SET state = 'ready', holds = true FROM heads WHERE t.ctid = heads.at
