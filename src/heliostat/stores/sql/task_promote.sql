-- Move waiting tasks on: to pending where inputs or their turn are missing, else to ready.
UPDATE tasks SET state = CASE WHEN missing <> 0 OR (serial_key IS NOT NULL AND NOT holds) THEN 'pending' ELSE 'ready' END
WHERE run_id = :run AND number = :number AND state = 'waiting' AND NOT held
