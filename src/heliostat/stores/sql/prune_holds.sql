-- Forget runs: who has paused them.
DELETE FROM holds WHERE run_id {among}
