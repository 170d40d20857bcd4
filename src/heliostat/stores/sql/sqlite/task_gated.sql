-- The tasks of a handler that wait for its gate.
SELECT {arrived}
FROM tasks t WHERE t.run_id = :run AND t.node = :node AND t.state IN ('pending', 'waiting', 'cancelled')
    AND t.missing > 0
ORDER BY t.number
