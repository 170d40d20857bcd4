-- An attempt as ``task.Attempt`` has it.
SELECT t.run_id, t.number, t.attempt, l.graph_id, t.node, l.queue, t.item, t.message, t.serial_key, t.join_number,
    t.join_place, t.failures, t.rescues, t.started_at, t.due_at, t.epilogue,
    (SELECT r.parent FROM runs r WHERE r.id = t.run_id)
