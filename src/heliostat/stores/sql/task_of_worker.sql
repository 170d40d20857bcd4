-- The attempts that a worker holds.
{attempt}
FROM lanes l CROSS JOIN tasks t JOIN runs r ON r.id = t.run_id
WHERE t.lane_id = l.id AND t.worker = :worker AND t.state = 'running'
ORDER BY t.seq
