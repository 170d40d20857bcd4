-- Settle a task that no worker holds, as a person has decided.
UPDATE tasks SET state = :state, result = :result, reason = :reason, ended_at = :now, due_at = NULL, holds = FALSE
WHERE run_id = :run AND number = :number AND {idle}
