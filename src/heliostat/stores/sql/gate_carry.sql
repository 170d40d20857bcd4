-- Copy the gates of handlers to a run that takes them over.
INSERT INTO gates (run_id, node, settled, missing, unmet)
SELECT CAST(:to AS bigint), g.node, g.settled + CAST(:shift AS bigint), g.missing, g.unmet
FROM gates g CROSS JOIN {carried} n
WHERE g.run_id = :run AND n.node = g.node
