-- Copy the records of nodes to a run that takes them over.
INSERT INTO records (run_id, node, key, number, value)
SELECT CAST(:to AS bigint), r.node, r.key,
    CASE WHEN r.number = n.was THEN n.number ELSE r.number + CAST(:shift AS bigint) END, r.value
FROM records r CROSS JOIN {carried} n
WHERE r.run_id = :run AND n.node = r.node ORDER BY r.seq
