-- How many tasks of a run are not final.
SELECT (SELECT count(*) FROM tasks WHERE run_id = :run AND {idle}) + (
    SELECT count(*) FROM runs r JOIN lanes l ON l.graph_id = r.graph_id
    JOIN tasks t ON t.lane_id = l.id AND t.state = 'running' AND +t.run_id = r.id WHERE r.id = :run)
