-- End the engine's sessions that wait inside a transaction for a process that has said nothing for so many seconds.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND application_name = current_setting('application_name') AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
    AND greatest(query_start, state_change) < clock_timestamp() - make_interval(secs => :seconds)
