-- Who has paused what, when and why: a queue, a node, a workflow's trigger (of run 0), or a run.

CREATE TABLE holds (
    run_id bigint NOT NULL,
    at double precision NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (run_id, kind, name)
);
