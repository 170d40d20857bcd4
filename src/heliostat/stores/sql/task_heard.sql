-- The tasks of a run that were to be told of the end of another run which has ended, as far as they miss anything.
SELECT DISTINCT t.number, t.node, t.missing
FROM runs c JOIN tasks t ON t.run_id = c.parent AND t.number = c.parent_task
WHERE c.parent = :run AND c.state NOT IN ('pending', 'active') AND t.state = 'pending' AND t.missing > 0 ORDER BY t.number
