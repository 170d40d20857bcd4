-- Forget runs: their records.
DELETE FROM records WHERE run_id {among}
