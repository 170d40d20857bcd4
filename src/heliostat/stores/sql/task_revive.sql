-- What the end of a run has cancelled goes on from where it was, but for messages that came after the end.
UPDATE tasks SET
    state = CASE WHEN due_at > :now THEN 'waiting'
        WHEN missing <> 0 OR (serial_key IS NOT NULL AND NOT holds) THEN 'pending' ELSE 'ready' END,
    reason = NULL, ended_at = NULL, held = FALSE, unmet = CASE WHEN attempt > 0 THEN 0 ELSE unmet END
WHERE run_id = :run AND state = 'cancelled' AND substr(reason, 1, 11) <> 'not handled'
