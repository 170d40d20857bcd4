-- Runs, newest first.
SELECT {run} FROM runs r WHERE r.id < :before ORDER BY r.id DESC LIMIT :most
