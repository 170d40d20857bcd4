-- Remember a migration.
INSERT INTO schema_version (version, name) VALUES (:version, :name)
