-- How many tasks run in queues.
SELECT l.queue, count(*)
FROM json_each(:names) AS wanted CROSS JOIN lanes l ON l.queue = wanted.value
CROSS JOIN tasks t ON t.lane_id = l.id AND t.state = 'running'
GROUP BY l.queue
