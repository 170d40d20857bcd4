-- Upgrade alone.
SELECT pg_advisory_xact_lock(:tag << 48)
