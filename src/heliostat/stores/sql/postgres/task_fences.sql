-- Lock tasks and say where they stand.
SELECT t.run_id, t.number, t.state, t.attempt, t.settled, t.worker, CASE WHEN t.unmet > 0 THEN t.reason END
FROM json_array_elements(:references::json) AS wanted (pair)
CROSS JOIN LATERAL (
    SELECT * FROM tasks
    WHERE run_id = (wanted.pair ->> 0)::bigint AND number = (wanted.pair ->> 1)::bigint OFFSET 0 FOR NO KEY UPDATE
) t
