-- Close reviews.
DELETE FROM reviews WHERE run_id = :run AND number = :number
