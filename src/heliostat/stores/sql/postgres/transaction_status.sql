-- How a transaction came out.
SELECT pg_xact_status(:transaction::xid8)
