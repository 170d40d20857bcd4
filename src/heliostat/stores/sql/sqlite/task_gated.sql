-- The tasks of a handler that wait for its gate.
SELECT {arrived}
FROM tasks t WHERE t.run_id = :run AND t.node = :node AND {idle} AND t.state <> 'ready' AND t.missing > 0
ORDER BY t.number
