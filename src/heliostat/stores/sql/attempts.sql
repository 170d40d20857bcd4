-- Attempts of a run that ended otherwise than well.
SELECT number, attempt, state, worker, started_at, ended_at, reason FROM attempts WHERE run_id = :run ORDER BY seq
