-- Forget runs: their journal.
DELETE FROM journal WHERE run_id {among}
