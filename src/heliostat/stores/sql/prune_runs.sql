-- Forget runs.
DELETE FROM runs WHERE id {among}
