-- The parents of runs.
SELECT parent FROM runs WHERE id IN ({ids}) AND parent IS NOT NULL
