-- Count down what tasks wait for; at zero they are ready, unless something is unmet, serial or left to decide.
UPDATE tasks SET missing = missing - :by, unmet = unmet + :unmet, width = coalesce(:width, width),
    state = CASE WHEN state = 'pending' AND missing = :by AND unmet + :unmet = 0 AND serial_key IS NULL
        AND NOT :decide THEN 'ready' ELSE state END
WHERE run_id = :run AND number = :number AND state IN ('pending', 'waiting', 'cancelled')
