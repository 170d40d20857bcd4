-- Mark a running task as one that is to fail, since somebody has cancelled it (spelled so that its key is what is
-- looked up, and not all that runs).
UPDATE tasks SET unmet = 1, reason = :reason
WHERE run_id = :run AND number = :number AND CASE WHEN state = 'running' THEN unmet = 0 ELSE FALSE END
