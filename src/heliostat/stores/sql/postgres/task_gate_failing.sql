-- The gate of a handler opens while its run is failing: an arrival at each of its tasks, should the run go on.
UPDATE tasks t SET missing = missing - 1, unmet = unmet + :unmet
WHERE run_id = :run AND node = :node AND state = 'cancelled' AND missing > 0
RETURNING {arrived}
