-- How many tasks run in lanes.
SELECT t.lane_id, count(*)
FROM json_array_elements_text(:ids::json) AS wanted (id)
JOIN tasks t ON t.lane_id = wanted.id::bigint AND t.state = 'running'
GROUP BY t.lane_id
