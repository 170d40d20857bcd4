-- Forget runs: note first that something may lie under their ids.
INSERT INTO discarded (run_id) SELECT value FROM json_each(:ids)
