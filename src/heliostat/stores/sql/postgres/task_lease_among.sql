-- Lease the best ready tasks of several lanes, each within its own number: first look how many each lane gives, then
-- lock as many of each.
WITH offered AS MATERIALIZED (
    SELECT best.lane, count(*) AS share
    FROM (
        SELECT l.lane, h.priority, h.seq
        FROM json_to_recordset(:lanes::json) AS l (lane bigint, most bigint)
        CROSS JOIN LATERAL (
            SELECT t.priority, t.seq FROM tasks t WHERE t.lane_id = l.lane AND t.state = 'ready' AND NOT t.held
            ORDER BY t.priority DESC, t.seq LIMIT l.most
        ) h
        ORDER BY h.priority DESC, h.seq LIMIT :most
    ) best
    GROUP BY best.lane
), picked AS MATERIALIZED (
    SELECT h.at, h.run_id, h.epilogue, h.node, h.lane_id
    FROM offered CROSS JOIN LATERAL (
        SELECT t.ctid AS at, t.run_id, t.epilogue, t.node, t.lane_id
        FROM tasks t WHERE t.lane_id = offered.lane AND t.state = 'ready' AND NOT t.held
        ORDER BY t.priority DESC, t.seq LIMIT offered.share FOR NO KEY UPDATE SKIP LOCKED
    ) h
), {begin}
