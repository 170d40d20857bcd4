-- The gate of a handler opens: an arrival at each of its tasks that have not begun.
UPDATE tasks SET missing = missing - 1, unmet = unmet + :unmet,
    state = CASE WHEN state = 'pending' AND missing = 1 AND unmet + :unmet = 0 AND serial_key IS NULL
        THEN 'ready' ELSE state END
WHERE run_id = :run AND node = :node AND state IN ('pending', 'waiting', 'cancelled') AND missing > 0
