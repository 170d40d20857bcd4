-- A name and a version stand for one structure. Of several that were registered at once the oldest keeps the version;
-- the runs of the others go on, since they know their definition by its key.

UPDATE graphs SET version = NULL WHERE version IS NOT NULL AND EXISTS (
    SELECT 1 FROM graphs older
    WHERE older.name = graphs.name AND older.version = graphs.version
        AND (older.created_at < graphs.created_at OR (older.created_at = graphs.created_at AND older.id < graphs.id)));

DROP INDEX graphs_name;
CREATE UNIQUE INDEX graphs_version ON graphs (name, version) WHERE version IS NOT NULL;
