-- The time of the database's machine.
SELECT extract(epoch FROM clock_timestamp())::double precision
