-- The reviews that are open: since when and until when, and who has claimed them. What was decided is their result.

CREATE TABLE reviews (
    run_id bigint NOT NULL,
    number bigint NOT NULL,
    asked_at double precision NOT NULL,
    due_at double precision,
    claimed_by text,
    claimed_at double precision,
    PRIMARY KEY (run_id, number)
);
