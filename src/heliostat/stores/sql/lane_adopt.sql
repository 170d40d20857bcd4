-- Bring the ready tasks of a node into its lane.
UPDATE tasks SET lane_id = :id
WHERE lane_id IN (SELECT id FROM lanes WHERE graph_id = :graph AND id <> :id) AND state = 'ready' AND NOT held
    AND node = :node
