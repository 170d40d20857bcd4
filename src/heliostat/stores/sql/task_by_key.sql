-- The task that an idempotency key gave birth to.
SELECT number, message FROM tasks WHERE run_id = :run AND node = :node AND idempotency_key = :key
