-- Lock limited queues in order.
SELECT name FROM queues WHERE name IN (SELECT value FROM json_array_elements_text(:names::json))
ORDER BY name FOR NO KEY UPDATE
