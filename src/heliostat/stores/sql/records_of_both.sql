-- The record of a node in a run under a key.
SELECT seq, node, key, value, number FROM records WHERE run_id = :run AND node = :node AND key = :key ORDER BY seq
