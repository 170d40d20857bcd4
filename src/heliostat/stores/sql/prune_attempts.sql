-- Forget runs: their attempts.
DELETE FROM attempts WHERE run_id {among}
