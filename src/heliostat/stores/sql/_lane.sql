-- A lane and its queue.
SELECT l.id, l.queue, l.graph_id, l.node, l."limit", l.paused,
    q.name, q."limit", q.paused, q.rate, q.configured_limit, q.configured_rate, q.by_hand
FROM lanes l JOIN queues q ON q.name = l.queue
