-- Forget a schedule that is as it was read.
DELETE FROM schedules
WHERE workflow = :workflow AND graph_id = :graph AND next_at = :next_at
