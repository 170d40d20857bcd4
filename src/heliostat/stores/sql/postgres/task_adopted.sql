-- The attempts that a worker has just adopted.
{attempt}
FROM {wanted} JOIN lanes l ON l.id = t.lane_id
WHERE CASE WHEN t.state = 'running' THEN t.worker = :worker ELSE false END
ORDER BY wanted.place
