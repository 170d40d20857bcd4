-- The runs that a node of a run is, as far as they have not ended.
SELECT c.id FROM runs c JOIN tasks t ON t.run_id = c.parent AND t.number = c.parent_task
WHERE c.parent = :run AND (c.state = 'active' OR c.state = 'pending') AND t.node = :node ORDER BY c.id + 0 LIMIT :most
