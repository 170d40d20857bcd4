-- Who has paused what, when and why: a queue, a node, a workflow's trigger (of run 0), or a run.

CREATE TABLE holds (
    run_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run_id, kind, name)
) WITHOUT ROWID;
