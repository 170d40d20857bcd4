-- Count down what a handler waits for.
INSERT INTO gates (run_id, node, missing, unmet) VALUES (:run, :node, CAST(:waits AS bigint) - CAST(:by AS bigint), :unmet)
ON CONFLICT (run_id, node) DO UPDATE
SET missing = coalesce(gates.missing, CAST(:waits AS bigint)) - CAST(:by AS bigint), unmet = gates.unmet + :unmet
