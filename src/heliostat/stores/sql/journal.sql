-- What happened, in order.
SELECT seq, run_id, at, actor, event FROM journal WHERE seq > :after ORDER BY seq LIMIT :most
