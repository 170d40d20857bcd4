-- Ended runs with tasks that are not final.
SELECT id FROM runs WHERE leftover ORDER BY id LIMIT :most
