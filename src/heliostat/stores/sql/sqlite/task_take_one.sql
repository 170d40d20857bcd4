-- Lease a ready task to a worker.
UPDATE tasks SET state = 'running', attempt = attempt + 1, worker = :worker, started_at = :now
WHERE seq = :seq
