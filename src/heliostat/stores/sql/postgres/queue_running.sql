-- How many tasks run in queues.
SELECT l.queue, count(*)
FROM json_array_elements_text(:names::json) AS wanted (name)
JOIN lanes l ON l.queue = wanted.name
JOIN tasks t ON t.lane_id = l.id AND t.state = 'running'
GROUP BY l.queue
