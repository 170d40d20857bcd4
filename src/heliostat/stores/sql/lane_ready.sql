-- How many tasks are ready in each lane, with its queue.
SELECT l.id, l.queue, count(*) FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.state = 'ready' AND NOT t.held GROUP BY l.id, l.queue
