-- What of forgotten runs may still lie among the files: a row for each run, and one for each artifact it kept.

CREATE TABLE discarded (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    digest TEXT
);

CREATE INDEX artifacts_digest ON artifacts (digest);
