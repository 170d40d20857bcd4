-- What a commit writes falls on fewer pages. The journal's numbers come from its newest line, which always stays; one
-- is left here for numbers that were taken and forgotten. Lines that tell of several runs are looked up by no run.
-- Ready and running tasks share an index, so that a lease moves an entry within it.

CREATE TABLE journal_kept (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    event TEXT NOT NULL
);

INSERT INTO journal_kept SELECT seq, run_id, at, actor, event FROM journal;

INSERT OR IGNORE INTO journal_kept SELECT seq, 0, 0, '', '{}' FROM sqlite_sequence WHERE name = 'journal';

DROP TABLE journal;
ALTER TABLE journal_kept RENAME TO journal;
CREATE INDEX journal_run ON journal (run_id) WHERE run_id <> 0;

DROP INDEX tasks_ready;
DROP INDEX tasks_running;
CREATE INDEX tasks_lane ON tasks (lane_id, state, held, priority DESC, seq) WHERE state = 'ready' OR state = 'running';
