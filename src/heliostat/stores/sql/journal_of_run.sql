-- What happened in a run, in order.
SELECT seq, run_id, at, actor, event FROM journal
WHERE run_id = :run AND run_id <> 0 AND seq > :after ORDER BY seq LIMIT :most
