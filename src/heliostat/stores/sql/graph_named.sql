-- Registered definitions of a name, in the order in which they were registered last.
SELECT id, definition FROM graphs WHERE name = :name ORDER BY created_at, id
