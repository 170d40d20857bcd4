-- Runs of a workflow in a state, newest first.
SELECT {run} FROM runs r
WHERE r.workflow = :workflow AND r.state = :state AND r.id < :before ORDER BY r.id DESC LIMIT :most
