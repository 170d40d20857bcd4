-- Have an idempotency key stand for a run no more.
UPDATE runs SET idempotency_key = NULL WHERE id = :run
