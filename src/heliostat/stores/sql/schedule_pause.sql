-- Pause a schedule or let it go on.
UPDATE schedules SET next_at = :next_at, paused = :paused WHERE workflow = :workflow
