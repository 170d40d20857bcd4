-- What a worker is.
SELECT state FROM workers WHERE id = :worker
