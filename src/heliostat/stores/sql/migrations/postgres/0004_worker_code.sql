-- What code a worker has behind the workflows it offers, as JSON.

ALTER TABLE workers ADD COLUMN code text NOT NULL DEFAULT '';
