-- Forget runs: their journal.
DELETE FROM journal WHERE run_id {among} AND run_id <> 0
