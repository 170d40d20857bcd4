-- Pass running attempts on to another worker.
UPDATE tasks SET worker = :worker, attempt = attempt + 1
WHERE run_id = :run AND number = :number AND state = 'running' AND attempt = :attempt
