-- When runs are to have ended at the latest.

ALTER TABLE runs ADD COLUMN deadline_at REAL;

CREATE INDEX runs_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL AND state = 'active' AND closing = 0;
