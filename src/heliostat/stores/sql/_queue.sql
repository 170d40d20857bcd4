-- A queue: what holds, what is configured, and which of it an operator has set.
SELECT name, "limit", paused, rate, configured_limit, configured_rate, by_hand FROM queues
