-- All runs whose end a task has waited for, oldest first.
SELECT {run} FROM runs r WHERE r.parent = :run AND r.parent_task = :number ORDER BY r.id + 0
