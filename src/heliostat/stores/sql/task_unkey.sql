-- A message that came after the end of a run leaves its idempotency key to the same one, which may come again.
UPDATE tasks SET idempotency_key = NULL
WHERE run_id = :run AND state = 'cancelled' AND idempotency_key IS NOT NULL AND substr(reason, 1, 11) = 'not handled'
