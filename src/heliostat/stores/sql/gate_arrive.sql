-- Count down what a handler waits for.
INSERT INTO gates (run_id, node, missing, unmet) VALUES (:run, :node, :waits - :by, :unmet)
ON CONFLICT (run_id, node) DO UPDATE
SET missing = coalesce(gates.missing, :waits) - :by, unmet = gates.unmet + :unmet
