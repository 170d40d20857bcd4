-- The attempts that a worker has just adopted.
{attempt}
FROM json_each(:references) AS wanted
CROSS JOIN tasks t ON t.run_id = json_extract(wanted.value, '$[0]') AND t.number = json_extract(wanted.value, '$[1]')
JOIN lanes l ON l.id = t.lane_id
WHERE t.state = 'running' AND t.worker = :worker
ORDER BY wanted.key
