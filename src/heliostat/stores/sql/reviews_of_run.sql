-- The open reviews of a run, by number.
SELECT {review} AND r.run_id = :run ORDER BY r.number LIMIT :most
