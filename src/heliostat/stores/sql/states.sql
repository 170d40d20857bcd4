-- How many tasks of each node are in each state.
SELECT node, state, count(*) FROM tasks WHERE run_id = :run GROUP BY node, state
