-- The parents of runs.
SELECT parent FROM runs WHERE id {among}
