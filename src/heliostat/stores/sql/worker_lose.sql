-- Declare a worker lost if its heartbeat is still the one seen.
UPDATE workers SET state = 'lost' WHERE id = :worker AND beat = :beat
