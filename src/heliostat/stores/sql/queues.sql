-- All queues.
SELECT name, "limit", paused FROM queues ORDER BY name
