-- At which site a worker runs.

ALTER TABLE workers ADD COLUMN site TEXT NOT NULL DEFAULT '';
