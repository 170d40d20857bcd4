-- Set the priority of a task that has not begun.
UPDATE tasks SET priority = :priority WHERE run_id = :run AND number = :number AND {idle}
