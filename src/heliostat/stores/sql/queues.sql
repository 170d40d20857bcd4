-- All queues.
SELECT name, "limit", paused, rate FROM queues ORDER BY name
