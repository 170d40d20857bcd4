-- Forget runs: note first that something may lie under their ids.
INSERT INTO discarded (run_id) SELECT value::bigint FROM json_array_elements_text(:ids::json)
