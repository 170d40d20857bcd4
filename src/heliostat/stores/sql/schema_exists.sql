-- Whether a schema is there at all.
SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'
