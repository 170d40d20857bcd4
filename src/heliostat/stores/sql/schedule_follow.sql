-- Give a schedule that is as it was read another definition and tick.
UPDATE schedules SET graph_id = :follows, next_at = :to
WHERE workflow = :workflow AND graph_id = :graph AND next_at = :next_at
