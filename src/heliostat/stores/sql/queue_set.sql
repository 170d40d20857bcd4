-- Write a queue.
INSERT INTO queues (name, "limit", paused) VALUES (:name, :most, :paused)
ON CONFLICT (name) DO UPDATE SET "limit" = excluded."limit", paused = excluded.paused
