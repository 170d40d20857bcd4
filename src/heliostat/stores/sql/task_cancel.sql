-- Cancel tasks of a run that have not begun, at most so many.
UPDATE tasks SET state = 'cancelled', reason = :reason, ended_at = :now
WHERE seq IN (SELECT seq FROM tasks WHERE run_id = :run AND {idle} AND NOT epilogue LIMIT :most)
