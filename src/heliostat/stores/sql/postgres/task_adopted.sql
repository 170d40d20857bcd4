-- The attempts that a worker has just adopted.
{attempt}
FROM json_array_elements(:references::json) WITH ORDINALITY AS wanted (pair, place)
JOIN tasks t ON t.run_id = (wanted.pair ->> 0)::bigint AND t.number = (wanted.pair ->> 1)::bigint
JOIN lanes l ON l.id = t.lane_id JOIN runs r ON r.id = t.run_id
WHERE CASE WHEN t.state = 'running' THEN t.worker = :worker ELSE false END
ORDER BY wanted.place
