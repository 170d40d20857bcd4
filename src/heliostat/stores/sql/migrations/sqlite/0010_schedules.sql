-- How the triggers of workflows stand: whose runs they start, and the tick that comes next.

CREATE TABLE schedules (
    workflow TEXT PRIMARY KEY,
    graph_id INTEGER NOT NULL,
    next_at REAL NOT NULL,
    last_at REAL,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
