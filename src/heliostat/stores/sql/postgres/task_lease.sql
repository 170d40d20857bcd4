-- Lease the best ready tasks of a lane that nobody else has at hand.
WITH picked AS MATERIALIZED (
    SELECT t.ctid AS at, t.run_id, t.epilogue, t.node, t.lane_id
    FROM tasks t WHERE t.lane_id = :lane AND t.state = 'ready' AND NOT t.held
    ORDER BY t.priority DESC, t.seq LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
), {begin}
