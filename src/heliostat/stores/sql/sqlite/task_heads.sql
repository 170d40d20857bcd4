-- The best ready tasks of a lane: what decides on their order, whether they may begin, and the attempts they will be,
-- but for what is the same for all of them: each column of a row costs a fifth of a microsecond in Python.
SELECT t.priority, t.seq, r.state = 'active' OR t.epilogue, t.run_id, t.number, t.attempt + 1, t.node, t.item, t.message,
    t.serial_key, t.join_number, t.join_place, t.failures, t.rescues, t.due_at, t.epilogue, r.parent
FROM tasks t JOIN runs r ON r.id = t.run_id
WHERE t.lane_id = :lane AND t.state = 'ready' AND NOT t.held
ORDER BY t.priority DESC, t.seq LIMIT :most
