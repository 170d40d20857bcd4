-- Workers that are not known to have ended, or that hold attempts nevertheless.
SELECT {worker} FROM workers
WHERE state <> 'lost' OR id IN (
    SELECT t.worker FROM lanes l CROSS JOIN tasks t WHERE t.lane_id = l.id AND t.state = 'running')
ORDER BY started_at, id
