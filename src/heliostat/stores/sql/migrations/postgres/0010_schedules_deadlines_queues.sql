-- How the triggers of workflows stand: whose runs they start, and the tick that comes next.

CREATE TABLE schedules (
    workflow text PRIMARY KEY,
    graph_id bigint NOT NULL,
    next_at double precision NOT NULL,
    last_at double precision,
    paused boolean NOT NULL DEFAULT false
);

-- When runs are to have ended at the latest.

ALTER TABLE runs ADD COLUMN deadline_at double precision;

CREATE INDEX runs_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL AND state = 'active' AND NOT closing;

-- What the configuration has said last of a queue, and which of its terms an operator has set.

ALTER TABLE queues ADD COLUMN configured_limit bigint;
ALTER TABLE queues ADD COLUMN configured_rate text;
ALTER TABLE queues ADD COLUMN by_hand text NOT NULL DEFAULT '';
