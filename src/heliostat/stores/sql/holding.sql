-- How many attempts each worker holds, and since when the first of them.
SELECT t.worker, count(*), min(t.started_at)
FROM lanes l CROSS JOIN tasks t WHERE t.lane_id = l.id AND t.state = 'running' GROUP BY t.worker
