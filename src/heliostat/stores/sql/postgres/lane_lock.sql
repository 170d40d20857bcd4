-- Lock limited lanes in order.
SELECT id FROM lanes WHERE id {among} ORDER BY id FOR NO KEY UPDATE
