-- Take a run's deadline away.
UPDATE runs SET deadline_at = NULL WHERE id = :run
