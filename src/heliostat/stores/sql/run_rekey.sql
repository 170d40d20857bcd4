-- Give a run another idempotency key.
UPDATE runs SET idempotency_key = :key WHERE id = :run
