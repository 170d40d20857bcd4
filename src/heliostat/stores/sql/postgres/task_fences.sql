-- Lock tasks and say where they stand.
SELECT t.run_id, t.number, t.state, t.attempt, t.settled, t.worker
FROM {wanted}
ORDER BY t.run_id, t.number FOR NO KEY UPDATE OF t
