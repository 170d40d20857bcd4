-- The run that an idempotency key started.
SELECT id, message FROM runs WHERE workflow = :workflow AND idempotency_key = :key
