-- Copy the artifacts of nodes to a run that takes them over; both refer to the same files.
INSERT INTO artifacts (run_id, number, name, digest, size, media_type, tags, at)
SELECT CAST(:to AS bigint), CASE WHEN a.number = n.was THEN n.number ELSE a.number + CAST(:shift AS bigint) END,
    a.name, a.digest, a.size, a.media_type, a.tags, a.at
FROM artifacts a JOIN tasks t ON t.run_id = a.run_id AND t.number = a.number CROSS JOIN {carried} n
WHERE a.run_id = :run AND n.node = t.node ORDER BY a.seq
