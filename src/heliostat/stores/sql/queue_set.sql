-- Write a queue.
UPDATE queues SET "limit" = :most, paused = :paused, rate = :rate,
    configured_limit = :configured_most, configured_rate = :configured_rate, by_hand = :by_hand
WHERE name = :name
