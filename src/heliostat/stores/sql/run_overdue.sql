-- Active runs whose deadline has passed; one that is failing already is as good as over.
SELECT id FROM runs
WHERE deadline_at IS NOT NULL AND state = 'active' AND NOT closing AND deadline_at <= :now ORDER BY deadline_at LIMIT :most
