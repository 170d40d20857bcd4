-- The run whose end is a task's message.
SELECT {run} FROM runs r WHERE r.parent = :run AND r.parent_task = :number ORDER BY r.id + 0 LIMIT 1
