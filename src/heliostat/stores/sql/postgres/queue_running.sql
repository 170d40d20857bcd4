-- How many tasks run in queues.
SELECT l.queue, count(*)
FROM tasks t JOIN lanes l ON l.id = t.lane_id
WHERE t.state = 'running' AND t.lane_id = ANY (ARRAY(
    SELECT own.id FROM lanes own
    WHERE own.queue = ANY (ARRAY(SELECT value FROM json_array_elements_text(:names::json)))))
GROUP BY l.queue
