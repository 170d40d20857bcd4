-- Write a definition that is there; one that is data counts as registered now.
UPDATE graphs SET definition = :definition, created_at = coalesce(:now, created_at) WHERE id = :id
