-- Lock limited lanes in order.
SELECT id FROM lanes WHERE id IN ({ids}) ORDER BY id FOR NO KEY UPDATE
