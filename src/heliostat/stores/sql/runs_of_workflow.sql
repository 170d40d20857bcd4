-- Runs of a workflow, newest first.
SELECT {run} FROM runs r WHERE r.workflow = :workflow AND r.id < :before ORDER BY r.id DESC LIMIT :most
