-- Forget runs: their gates.
DELETE FROM gates WHERE run_id {among}
