-- Records of a node in a run, in the order put.
SELECT seq, node, key, value, number FROM records WHERE run_id = :run AND node = :node ORDER BY seq
