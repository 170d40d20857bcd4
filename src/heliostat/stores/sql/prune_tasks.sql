-- Forget runs: their tasks.
DELETE FROM tasks WHERE run_id {among}
