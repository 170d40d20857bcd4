-- Cancel ready tasks of runs that are over.
UPDATE tasks SET state = 'cancelled', reason = 'the run was over', ended_at = :now
WHERE seq {among}
