-- Move strays, of the best tasks of a lane, to the lane of their node. What others have at hand they move themselves.
WITH homeless AS MATERIALIZED (
    SELECT found.at
    FROM (
        SELECT run_id, number, node FROM tasks WHERE lane_id = :lane AND state = 'ready' AND NOT held
        ORDER BY priority DESC, seq LIMIT :most
    ) best
    CROSS JOIN LATERAL (
        SELECT t.ctid AS at FROM tasks t
        WHERE t.run_id = best.run_id AND t.number = best.number
            AND CASE WHEN t.state = 'ready' THEN t.lane_id = :lane ELSE false END
        OFFSET 0 FOR NO KEY UPDATE SKIP LOCKED
    ) found
    WHERE best.node = :node
)
UPDATE tasks t SET lane_id = :own FROM homeless WHERE t.ctid = homeless.at
