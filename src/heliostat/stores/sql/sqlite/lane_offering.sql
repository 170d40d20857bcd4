-- Of these lanes, those with something ready.
SELECT wanted.value FROM json_each(:ids) AS wanted
WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.lane_id = wanted.value AND t.state = 'ready' AND NOT t.held)
