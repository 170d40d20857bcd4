-- Remember attempts that ended otherwise than well.
INSERT INTO attempts (run_id, number, attempt, state, worker, started_at, ended_at, reason)
VALUES (:run, :number, :attempt, :state, :worker, :started_at, :ended_at, :reason)
