-- Of a serial key that nobody holds, ready the first task whose inputs are there.
UPDATE tasks SET state = 'ready', holds = 1
WHERE seq = (
    SELECT seq FROM tasks
    WHERE run_id = :run AND serial_key = :key AND state = 'pending' AND missing = 0 AND unmet = 0
    ORDER BY priority DESC, number LIMIT 1
) AND NOT EXISTS (SELECT 1 FROM tasks WHERE run_id = :run AND serial_key = :key AND holds)
