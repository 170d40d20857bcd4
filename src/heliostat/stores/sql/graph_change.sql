-- Write a definition that is there.
UPDATE graphs SET definition = :definition WHERE id = :id
