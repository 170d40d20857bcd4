-- A worker's attempts whose run is over.
SELECT t.run_id, t.number
FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.worker = :worker AND t.state = 'running' AND NOT t.epilogue
    AND (SELECT r.state FROM runs r WHERE r.id = t.run_id) NOT IN ('pending', 'active')
