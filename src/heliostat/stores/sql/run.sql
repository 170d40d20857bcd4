-- One run.
SELECT {run} FROM runs r WHERE r.id = :run
