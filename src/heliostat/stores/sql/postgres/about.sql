-- What server this is, and what of its settings a power cut asks about.
SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes')
