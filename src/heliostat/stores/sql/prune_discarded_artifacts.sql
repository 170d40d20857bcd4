-- Forget runs: note first which artifacts they kept.
INSERT INTO discarded (run_id, digest) SELECT DISTINCT run_id, digest FROM artifacts WHERE run_id {among}
