-- Mark the running tasks of a run, so that they are held when they come back.
UPDATE tasks SET held = :held
WHERE +run_id = :run AND state = 'running'
    AND lane_id IN (SELECT l.id FROM runs r JOIN lanes l ON l.graph_id = r.graph_id WHERE r.id = :run)
