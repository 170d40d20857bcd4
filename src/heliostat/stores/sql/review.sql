-- An open review.
SELECT {review} AND r.run_id = :run AND r.number = :number
