-- How many tasks are ready in each queue.
SELECT l.queue, count(*) FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.state = 'ready' AND NOT t.held GROUP BY l.queue
