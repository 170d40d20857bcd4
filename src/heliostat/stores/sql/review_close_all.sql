-- Close all reviews of a run.
DELETE FROM reviews WHERE run_id = :run
