-- When the next active run is to have ended.
SELECT deadline_at FROM runs
WHERE deadline_at IS NOT NULL AND state = 'active' AND NOT closing ORDER BY deadline_at LIMIT 1
