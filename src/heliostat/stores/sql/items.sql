-- How the tasks of an each node came out: its first, then its block.
SELECT t.state, t.result, t.width, t.block, t.reason, t.attempt, t.item
FROM tasks t WHERE t.run_id = :run AND t.number = :number AND t.width > 0 AND t.item = 0
UNION ALL
SELECT t.state, t.result, t.width, t.block, t.reason, t.attempt, t.item
FROM tasks f JOIN tasks t ON t.run_id = f.run_id AND t.number BETWEEN f.block AND f.block + f.width - 2
WHERE f.run_id = :run AND f.number = :number AND f.width > 0 AND f.item = 0
ORDER BY item
