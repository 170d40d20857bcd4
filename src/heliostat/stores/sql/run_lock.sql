-- Lock runs in the order of their ids.
SELECT id, graph_id, priority, parent, parent_task, created_at, state, paused, closing, open, last, result, reason,
    ended_at
FROM runs WHERE id {among} ORDER BY id
