-- End the engine's sessions that wait inside a transaction for a process that has said nothing for so many seconds,
-- or whose last word lies in the future, because the clock was set back: nobody knows for how long they have waited.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND application_name = current_setting('application_name') AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
    AND clock_timestamp() - greatest(query_start, state_change) NOT BETWEEN '0' AND make_interval(secs => :seconds)
