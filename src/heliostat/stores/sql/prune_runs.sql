-- Forget runs.
DELETE FROM runs WHERE id IN ({ids})
