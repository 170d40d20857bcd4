-- What a handler's gate still misses.
SELECT missing, unmet FROM gates WHERE run_id = :run AND node = :node AND missing IS NOT NULL
