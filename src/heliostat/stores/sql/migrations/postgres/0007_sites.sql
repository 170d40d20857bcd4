-- At which site a worker runs.

ALTER TABLE workers ADD COLUMN site text NOT NULL DEFAULT '';
