-- Make waiting tasks ready; with a width, as the first of an each node's.
UPDATE tasks SET state = 'ready', width = :width, block = :block, item = CASE WHEN :width IS NULL THEN NULL ELSE 0 END
WHERE run_id = :run AND number = :number
