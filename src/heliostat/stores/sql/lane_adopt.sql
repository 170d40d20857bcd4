-- Bring the tasks of a node that have not begun into its lane.
UPDATE tasks SET lane_id = :id
WHERE {idle} AND node = :node AND lane_id <> :id
    AND run_id IN (SELECT id FROM runs WHERE graph_id = :graph AND (state = 'active' OR open > 0))
