-- Whether a schema is there at all.
SELECT 1 FROM pg_class WHERE oid = to_regclass('schema_version')
