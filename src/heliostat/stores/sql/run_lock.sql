-- Lock runs in the order of their ids.
SELECT id, graph_id, state, paused, closing, open, last, priority, parent, parent_task, reason, result,
    ended_at, created_at
FROM runs WHERE id {among} ORDER BY id
