-- An open review.
SELECT {review} WHERE r.run_id = :run AND r.number = :number
