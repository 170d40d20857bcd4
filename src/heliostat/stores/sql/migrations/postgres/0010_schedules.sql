-- How the triggers of workflows stand: whose runs they start, and the tick that comes next.

CREATE TABLE schedules (
    workflow text PRIMARY KEY,
    graph_id bigint NOT NULL,
    next_at double precision NOT NULL,
    last_at double precision,
    paused boolean NOT NULL DEFAULT false
);
