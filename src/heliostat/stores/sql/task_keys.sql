-- The serial keys of a run of which something waits for its turn.
SELECT DISTINCT serial_key FROM tasks WHERE run_id = :run AND serial_key IS NOT NULL AND state = 'pending'
