-- Cancel tasks of a run that have not begun, at most so many. One that is promoted just now is cancelled all the same.
WITH chosen AS MATERIALIZED (
    SELECT number FROM tasks WHERE run_id = :run AND {idle} AND NOT epilogue LIMIT :most
)
UPDATE tasks t SET state = 'cancelled', reason = :reason, ended_at = :now
FROM chosen WHERE t.run_id = :run AND t.number = chosen.number AND (t.state = 'pending' OR t.state = 'ready' OR t.state = 'waiting')
