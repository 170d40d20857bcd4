-- Cancel tasks of a run that have not begun, at most so many.
WITH chosen AS MATERIALIZED (
    SELECT ctid AS at FROM tasks WHERE run_id = :run AND {idle} AND NOT epilogue LIMIT :most FOR NO KEY UPDATE
)
UPDATE tasks t SET state = 'cancelled', reason = :reason, ended_at = :now, holds = false
FROM chosen WHERE t.ctid = chosen.at
