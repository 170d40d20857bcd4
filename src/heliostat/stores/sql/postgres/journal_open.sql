-- The last number of the journal before which every transaction that took one has ended; null where none is open.
SELECT min((classid::bigint & 65535) << 32 | objid::bigint) FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = :tag
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
