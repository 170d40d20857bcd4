-- When the oldest run that is there began.
SELECT created_at FROM runs ORDER BY id LIMIT 1
