-- Write who has claimed a review; nobody where it was released.
UPDATE reviews SET claimed_by = :by, claimed_at = :at WHERE run_id = :run AND number = :number
