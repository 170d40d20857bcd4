-- Move waiting tasks on: to pending where inputs or their turn are missing, else to ready. Who else has one at hand
-- promotes it.
WITH due AS MATERIALIZED (
    SELECT found.at
    FROM json_to_recordset(:rows::json) AS r (run bigint, number bigint)
    CROSS JOIN LATERAL (
        SELECT t.ctid AS at FROM tasks t
        WHERE t.run_id = r.run AND t.number = r.number
            AND CASE WHEN t.state = 'waiting' THEN NOT t.held ELSE false END
        OFFSET 0 FOR NO KEY UPDATE SKIP LOCKED
    ) found
)
UPDATE tasks t SET
    state = CASE WHEN t.missing <> 0 OR (t.serial_key IS NOT NULL AND NOT t.holds) THEN 'pending' ELSE 'ready' END
FROM due WHERE t.ctid = due.at
