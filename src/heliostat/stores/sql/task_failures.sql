-- The tasks of a run that have failed, but for those after its end.
SELECT number, node FROM tasks WHERE run_id = :run AND state = 'failed' AND NOT epilogue ORDER BY number
