-- How many tasks run in lanes.
SELECT t.lane_id, count(*)
FROM json_each(:ids) AS wanted CROSS JOIN tasks t ON t.lane_id = wanted.value AND t.state = 'running'
GROUP BY t.lane_id
