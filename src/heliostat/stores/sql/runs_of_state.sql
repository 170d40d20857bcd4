-- Runs in a state, newest first.
SELECT {run} FROM runs r WHERE r.state = :state AND r.id < :before ORDER BY r.id DESC LIMIT :most
