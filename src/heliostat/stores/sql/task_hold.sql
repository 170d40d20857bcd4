-- Hold or release the tasks of a run that have not begun.
UPDATE tasks SET held = :held WHERE run_id = :run AND {idle}
