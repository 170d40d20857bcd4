-- From when on the rates of queues let the next attempt begin.
SELECT name, free_at FROM queues WHERE name IN (SELECT value FROM json_array_elements_text(:names::json))
