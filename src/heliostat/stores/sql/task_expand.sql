-- Make waiting tasks ready, unless they are cancelled; with a width, as the first of an each node's.
UPDATE tasks SET state = CASE WHEN state = 'cancelled' THEN state ELSE 'ready' END, width = :width, block = :block,
    item = CASE WHEN :width IS NULL THEN NULL ELSE 0 END
WHERE run_id = :run AND number = :number
