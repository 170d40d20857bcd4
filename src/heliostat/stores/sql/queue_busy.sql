-- How many tasks run in each queue.
SELECT l.queue, count(*) FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.state = 'running' GROUP BY l.queue
