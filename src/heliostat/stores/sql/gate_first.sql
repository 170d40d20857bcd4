-- Remember the first task that a handler settled; changes nothing when one had been.
INSERT INTO gates (run_id, node, settled) VALUES (:run, :node, :number)
ON CONFLICT (run_id, node) DO UPDATE SET settled = excluded.settled WHERE gates.settled IS NULL
