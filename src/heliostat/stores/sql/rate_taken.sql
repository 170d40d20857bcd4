-- Remember from when on a queue's rate lets the next attempt begin.
UPDATE queues SET free_at = :free_at WHERE name = :name
