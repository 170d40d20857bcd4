-- Forget runs: their artifacts.
DELETE FROM artifacts WHERE run_id {among}
