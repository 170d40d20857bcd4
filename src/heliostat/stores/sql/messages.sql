-- What runs were started with.
SELECT id, message FROM runs WHERE id {among}
