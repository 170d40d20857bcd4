-- The task that holds a serial key.
SELECT number FROM tasks WHERE run_id = :run AND serial_key = :key AND holds
