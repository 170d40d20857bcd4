-- The reviews that are open: since when and until when, and who has claimed them. What was decided is their result.

CREATE TABLE reviews (
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    asked_at REAL NOT NULL,
    due_at REAL,
    claimed_by TEXT,
    claimed_at REAL,
    PRIMARY KEY (run_id, number)
) WITHOUT ROWID;
