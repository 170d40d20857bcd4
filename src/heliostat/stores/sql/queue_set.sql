-- Write a queue.
INSERT INTO queues (name, "limit", paused, rate) VALUES (:name, :most, :paused, :rate)
ON CONFLICT (name) DO UPDATE SET "limit" = excluded."limit", paused = excluded.paused, rate = excluded.rate
