-- Write locked runs. ``leftover`` marks ended ones whose tasks are not all final.
UPDATE runs SET state = :state, paused = :paused, closing = :closing, open = :open, last = :last, result = :result,
    reason = :reason, ended_at = :ended_at, leftover = :open > 0 AND :state NOT IN ('pending', 'active')
WHERE id = :id
