-- The run whose end a task waits for, or has waited for last.
SELECT {run} FROM runs r WHERE r.parent = :run AND r.parent_task = :number ORDER BY r.id + 0 DESC LIMIT 1
