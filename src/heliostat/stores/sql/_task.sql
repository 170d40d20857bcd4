-- A task as ``task.Task`` has it.
SELECT t.run_id, t.number, t.node, t.state, l.graph_id, l.queue, t.item, t.held, t.priority, t.serial_key,
    t.missing, t.unmet, t.width, t.block, t.join_number, t.join_place, t.cause, t.message, t.idempotency_key,
    t.due_at, t.attempt, t.failures, t.rescues, t.worker, t.created_at, t.started_at, t.ended_at, t.result, t.reason
FROM tasks t JOIN lanes l ON l.id = t.lane_id
