-- Put records; one with the key of another takes its place, as the newest.
INSERT OR REPLACE INTO records (run_id, node, key, number, value) VALUES (:run, :node, :key, :number, :value)
