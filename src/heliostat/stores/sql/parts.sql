-- The runs that a run has started and hears of, oldest first.
SELECT {run} FROM runs r WHERE r.parent = :run ORDER BY r.id + 0 LIMIT :most
