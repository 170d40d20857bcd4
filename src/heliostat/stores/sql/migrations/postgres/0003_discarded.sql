-- What of forgotten runs may still lie among the files: a row for each run, and one for each artifact it kept.

CREATE TABLE discarded (
    seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run_id bigint NOT NULL,
    digest text
);

CREATE INDEX artifacts_digest ON artifacts (digest);
