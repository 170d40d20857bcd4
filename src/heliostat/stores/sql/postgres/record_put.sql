-- Put records; one with the key of another takes its place, as the newest.
INSERT INTO records (run_id, node, key, number, value)
SELECT r.run, r.node, r.key, r.number, r.value
FROM json_to_recordset(:rows::json) AS r (run bigint, node text, key text, number bigint, value text)
ON CONFLICT (run_id, node, key) WHERE key IS NOT NULL
DO UPDATE SET number = excluded.number, value = excluded.value, seq = excluded.seq
