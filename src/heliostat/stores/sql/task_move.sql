-- Move strays, of the best tasks of a lane, to the lane of their node.
UPDATE tasks SET lane_id = :own
WHERE seq IN (
    SELECT best.seq FROM (
        SELECT seq, node FROM tasks WHERE lane_id = :lane AND state = 'ready' AND NOT held
        ORDER BY priority DESC, seq LIMIT :most) AS best
    WHERE best.node = :node)
