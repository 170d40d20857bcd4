-- Settle a task that is ready or waiting, or has failed, as a person has decided.
UPDATE tasks SET state = :state, result = :result, reason = :reason, ended_at = :now, due_at = NULL, holds = FALSE,
    worker = NULL, started_at = NULL
WHERE run_id = :run AND number = :number AND (state = 'ready' OR state = 'waiting' OR state = 'failed')
