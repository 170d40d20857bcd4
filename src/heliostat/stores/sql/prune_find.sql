-- Runs that ended before a time, oldest first, with the number of their last task. One whose end was told to
-- another goes after that one, which may have handed on what this one kept.
SELECT r.id, r.last FROM runs r
WHERE r.ended_at < :before AND r.open <= 0 AND NOT EXISTS (
    SELECT 1 FROM runs p WHERE p.id = r.parent LIMIT 1 OFFSET 0)
ORDER BY r.ended_at, r.id LIMIT :most
