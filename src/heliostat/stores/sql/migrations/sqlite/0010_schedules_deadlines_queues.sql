-- How the triggers of workflows stand: whose runs they start, and the tick that comes next.

CREATE TABLE schedules (
    workflow TEXT PRIMARY KEY,
    graph_id INTEGER NOT NULL,
    next_at REAL NOT NULL,
    last_at REAL,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- When runs are to have ended at the latest.

ALTER TABLE runs ADD COLUMN deadline_at REAL;

CREATE INDEX runs_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL AND state = 'active' AND closing = 0;

-- What the configuration has said last of a queue, and which of its terms an operator has set.

ALTER TABLE queues ADD COLUMN configured_limit INTEGER;
ALTER TABLE queues ADD COLUMN configured_rate TEXT;
ALTER TABLE queues ADD COLUMN by_hand TEXT NOT NULL DEFAULT '';
