-- Copy the settled tasks of nodes to a run that takes them over: with other numbers, and nothing to lease.
INSERT INTO tasks (run_id, number, lane_id, node, state, held, priority, missing, unmet, epilogue, attempt, failures,
    rescues, settled, holds, item, width, block, join_number, join_place, cause, created_at, started_at, ended_at,
    due_at, worker, serial_key, idempotency_key, message, result, reason)
SELECT CAST(:to AS bigint), CASE WHEN t.number = n.was THEN n.number ELSE t.number + CAST(:shift AS bigint) END, n.lane,
    t.node, t.state, FALSE, t.priority, t.missing, t.unmet, t.epilogue, t.attempt, t.failures,
    t.rescues, t.settled, FALSE, t.item, t.width, t.block + CAST(:shift AS bigint),
    t.join_number + CAST(:shift AS bigint), t.join_place,
    CASE WHEN t.cause > CAST(:graph AS bigint) THEN t.cause + CAST(:shift AS bigint) ELSE c.number END,
    t.created_at, t.started_at, t.ended_at, t.due_at, t.worker, t.serial_key, t.idempotency_key, t.message, t.result,
    t.reason
FROM tasks t CROSS JOIN {carried} n LEFT JOIN {carried} c ON c.was = t.cause
WHERE t.run_id = :run AND n.node = t.node
