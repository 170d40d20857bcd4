-- How many tasks of each node are in each state, by who sent or brought them.
SELECT t.node, c.node, t.state, count(*)
FROM tasks t LEFT JOIN tasks c ON c.run_id = t.run_id AND c.number = t.cause
WHERE t.run_id = :run GROUP BY t.node, c.node, t.state
