-- A run as ``run.Run`` has it.
r.id, r.graph_id, r.state, r.name, r.paused, r.closing, r.open, r.last, r.priority, r.message, r.result, r.reason,
    r.idempotency_key, r.parent, r.parent_task, r.created_at, r.ended_at, r.deadline_at
