-- The attempts that a worker holds.
{attempt}
FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.worker = :worker AND t.state = 'running'
ORDER BY t.seq
