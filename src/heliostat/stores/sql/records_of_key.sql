-- Records of a run under a key, in the order put.
SELECT seq, node, key, value, number FROM records WHERE run_id = :run AND key = :key ORDER BY seq
