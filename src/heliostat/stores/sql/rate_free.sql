-- From when on the rates of queues let the next attempt begin.
SELECT name, free_at FROM json_each(:names) AS wanted CROSS JOIN queues ON name = wanted.value
