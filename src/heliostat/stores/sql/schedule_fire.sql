-- Have a schedule go on that stands where it was read and is not paused.
UPDATE schedules SET next_at = :to, last_at = coalesce(:last_at, last_at)
WHERE workflow = :workflow AND graph_id = :graph AND next_at = :next_at AND NOT paused
