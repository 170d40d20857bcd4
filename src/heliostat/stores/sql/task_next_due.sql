-- When the next waiting task's time comes.
SELECT due_at FROM tasks WHERE state = 'waiting' AND NOT held AND due_at IS NOT NULL ORDER BY due_at LIMIT 1
