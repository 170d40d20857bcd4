-- Waiting tasks whose time has come, oldest first.
SELECT run_id, number, serial_key FROM tasks
WHERE state = 'waiting' AND NOT held AND due_at <= :now ORDER BY due_at, seq LIMIT :most
