-- When runs are to have ended at the latest.

ALTER TABLE runs ADD COLUMN deadline_at double precision;

CREATE INDEX runs_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL AND state = 'active' AND NOT closing;
