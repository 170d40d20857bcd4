-- Announce, until this transaction ends, that it may take numbers of the journal after the last one taken.
SELECT pg_advisory_xact_lock_shared(:tag << 48 | last_value - (NOT is_called)::integer) FROM journal_seq
