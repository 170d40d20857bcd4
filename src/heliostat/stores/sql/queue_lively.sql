-- The queues that have something ready; each lane is probed for one task.
SELECT DISTINCT looked.queue FROM (
    SELECT l.queue, (SELECT t.state FROM tasks t WHERE t.lane_id = l.id AND t.state = 'ready' AND NOT t.held LIMIT 1) AS found
    FROM lanes l
) looked WHERE looked.found IS NOT NULL ORDER BY looked.queue
