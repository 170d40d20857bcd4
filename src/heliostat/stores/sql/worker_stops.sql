-- A worker's attempts whose run is over, and those that somebody has cancelled.
SELECT t.run_id, t.number, t.unmet > 0
FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.worker = :worker AND t.state = 'running' AND (t.unmet > 0 OR NOT t.epilogue
    AND (SELECT r.state FROM runs r WHERE r.id = t.run_id) NOT IN ('pending', 'active'))
