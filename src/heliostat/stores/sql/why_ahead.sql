-- How many tasks of a serial key come before a task: those before it in order, and the one that holds the key.
SELECT count(*) FROM tasks
WHERE run_id = :run AND node = :node AND {idle} AND serial_key = :key AND +number < :number AND NOT holds
