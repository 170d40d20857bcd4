-- The best ready tasks of a lane: what decides on their order, whether they may begin, and the attempts they will be.
SELECT t.priority, t.seq, r.state = 'active' OR t.epilogue, t.lane_id, t.run_id, t.number, t.attempt + 1, :graph, t.node,
    :queue, t.item, t.message, t.serial_key, t.join_number, t.join_place, t.failures, t.rescues, :now, t.due_at, t.epilogue,
    r.parent
FROM tasks t JOIN runs r ON r.id = t.run_id
WHERE t.lane_id = :lane AND t.state = 'ready' AND NOT t.held
ORDER BY t.priority DESC, t.seq LIMIT :most
