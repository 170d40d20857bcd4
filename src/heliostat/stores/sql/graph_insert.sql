-- Register a definition; repeated, it brings the policies up to date.
INSERT INTO graphs (id, name, version, definition, created_at) VALUES (:id, :name, :version, :definition, :now)
ON CONFLICT (id) DO UPDATE SET definition = excluded.definition WHERE graphs.definition <> excluded.definition
