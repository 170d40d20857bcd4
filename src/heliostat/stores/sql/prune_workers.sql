-- Forget workers that have ended before a time and hold nothing.
DELETE FROM workers
WHERE (state = 'lost' OR state = 'stopped') AND beat_at < :before AND id NOT IN (
    SELECT t.worker FROM lanes l CROSS JOIN tasks t
    WHERE t.lane_id = l.id AND t.state = 'running' AND t.worker IS NOT NULL)
