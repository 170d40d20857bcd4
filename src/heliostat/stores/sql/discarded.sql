-- What forgotten runs have left among the files, and whether a run that is there refers to it.
SELECT d.seq, d.run_id, d.digest, EXISTS (SELECT 1 FROM artifacts a WHERE a.digest = d.digest LIMIT 1 OFFSET 0)
FROM discarded d WHERE d.seq > :after ORDER BY d.seq LIMIT :most
