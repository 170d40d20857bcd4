-- The open reviews of all runs, oldest first.
SELECT {review} ORDER BY r.asked_at, r.run_id, r.number LIMIT :most
