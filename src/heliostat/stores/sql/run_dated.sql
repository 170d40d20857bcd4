-- Give a run another deadline, or none.
UPDATE runs SET deadline_at = :deadline_at WHERE id = :run
