-- The best ready tasks of a lane, as attempts to come, with what decides on their order and whether they may begin.
SELECT t.priority, t.seq, r.state, t.run_id, t.number, t.attempt + 1, t.node, t.item, t.message, t.serial_key,
    t.join_number, t.join_place, t.failures, t.rescues, t.due_at, t.epilogue, r.parent
FROM tasks t JOIN runs r ON r.id = t.run_id
WHERE t.lane_id = :lane AND t.state = 'ready' AND NOT t.held
ORDER BY t.priority DESC, t.seq LIMIT :most
