-- The number of this transaction, if it has written anything.
SELECT pg_current_xact_id_if_assigned()::text
