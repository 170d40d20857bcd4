-- The tasks of a node that is another workflow which are pending or have failed, with their states and newest runs.
SELECT t.number, t.state, max(c.id) FROM runs c JOIN tasks t ON t.run_id = c.parent AND t.number = c.parent_task
WHERE c.parent = :run AND t.node = :node AND (t.state = 'pending' OR t.state = 'failed')
GROUP BY t.number, t.state ORDER BY t.number
