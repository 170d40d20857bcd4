-- Runs that ended before a time and that nobody waits for, oldest first, with the number of their last task.
SELECT r.id, r.last FROM runs r
WHERE r.ended_at < :before AND r.open <= 0 AND NOT EXISTS (
    SELECT 1 FROM runs p WHERE p.id = r.parent AND (p.open > 0 OR p.state IN ('pending', 'active')) LIMIT 1 OFFSET 0)
ORDER BY r.ended_at, r.id LIMIT :most
