-- Records of a run, in the order put.
SELECT seq, node, key, value, number FROM records WHERE run_id = :run ORDER BY seq
