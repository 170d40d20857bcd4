-- Have a definition; one that exists stays.
INSERT INTO graphs (id, name, version, definition, created_at) VALUES (:id, :name, :version, :definition, :now)
ON CONFLICT (id) DO NOTHING
