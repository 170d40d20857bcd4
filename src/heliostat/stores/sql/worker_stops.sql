-- A worker's attempts whose run is over.
SELECT t.run_id, t.number
FROM lanes l CROSS JOIN tasks t JOIN runs r ON r.id = t.run_id
WHERE t.lane_id = l.id AND t.worker = :worker AND t.state = 'running'
    AND NOT t.epilogue AND r.state NOT IN ('pending', 'active')
