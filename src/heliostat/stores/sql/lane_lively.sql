-- The queues and definitions that have something ready; each lane is probed for one task.
SELECT DISTINCT looked.queue, looked.graph_id FROM (
    SELECT l.queue, l.graph_id,
        (SELECT t.state FROM tasks t WHERE t.lane_id = l.id AND t.state = 'ready' AND NOT t.held LIMIT 1) AS found
    FROM lanes l
) looked WHERE looked.found IS NOT NULL ORDER BY looked.queue, looked.graph_id
