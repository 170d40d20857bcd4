-- Have an active worker drain.
UPDATE workers SET state = 'draining' WHERE id = :worker AND state = 'active'
