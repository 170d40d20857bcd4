-- A lane and its queue.
SELECT l.id, l.queue, l.graph_id, l.node, l."limit", l.paused, q."limit", q.paused, q.rate
FROM lanes l JOIN queues q ON q.name = l.queue
