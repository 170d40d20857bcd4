-- All registered definitions, oldest first.
SELECT id, definition FROM graphs ORDER BY created_at, id
