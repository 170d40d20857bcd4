-- What happened, in order, up to a number.
SELECT seq, run_id, at, actor, event FROM journal WHERE seq > :after AND seq <= :last ORDER BY seq LIMIT :most
