-- What each process has committed last. The number of a transaction does not tell whether it did: a server that crashed
-- gives numbers again of which nothing had reached its disk.

CREATE TABLE commits (
    process text PRIMARY KEY,
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
