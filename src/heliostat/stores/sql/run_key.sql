-- The idempotency key of a run.
SELECT idempotency_key FROM runs WHERE id = :run
