-- The handlers of a run that have settled a task.
SELECT node FROM gates WHERE run_id = :run AND settled IS NOT NULL
