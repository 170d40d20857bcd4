-- Everything that Heliostat keeps. Times are seconds since 1970; states are the words of the state machines.
-- Columns stand in the order of their sizes, which saves their padding. JSON is text: it is never searched here.

CREATE TABLE runs (
    id bigint PRIMARY KEY,
    graph_id bigint NOT NULL,
    open bigint NOT NULL DEFAULT 0,
    last bigint NOT NULL DEFAULT 0,
    parent bigint,
    parent_task bigint,
    created_at double precision NOT NULL,
    ended_at double precision,
    priority integer NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    closing boolean NOT NULL DEFAULT false,
    leftover boolean NOT NULL DEFAULT false,
    state text NOT NULL,
    workflow text NOT NULL,
    name text NOT NULL,
    idempotency_key text,
    message text NOT NULL,
    result text,
    reason text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE UNIQUE INDEX runs_key ON runs (workflow, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_workflow ON runs (workflow, id);
CREATE INDEX runs_state ON runs (state, id);
CREATE INDEX runs_parent ON runs (parent, parent_task) WHERE parent IS NOT NULL;
CREATE INDEX runs_leftover ON runs (id) WHERE leftover;
CREATE INDEX runs_ended ON runs (ended_at, id) WHERE ended_at IS NOT NULL;

CREATE SEQUENCE tasks_seq;

CREATE TABLE tasks (
    run_id bigint NOT NULL,
    number bigint NOT NULL,
    seq bigint NOT NULL DEFAULT nextval('tasks_seq'),
    lane_id bigint NOT NULL,
    block bigint,
    join_number bigint,
    cause bigint,
    created_at double precision NOT NULL,
    started_at double precision,
    ended_at double precision,
    due_at double precision,
    priority integer NOT NULL,
    missing integer NOT NULL,
    unmet integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    rescues integer NOT NULL DEFAULT 0,
    settled integer NOT NULL DEFAULT 0,
    item integer,
    width integer,
    join_place integer,
    held boolean NOT NULL,
    epilogue boolean NOT NULL,
    holds boolean NOT NULL DEFAULT false,
    state text NOT NULL,
    node text NOT NULL,
    worker text,
    serial_key text,
    idempotency_key text,
    message text,
    result text,
    reason text,
    PRIMARY KEY (run_id, number)
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

CREATE INDEX tasks_ready ON tasks (lane_id, priority DESC, seq) WHERE state = 'ready' AND NOT held;
CREATE INDEX tasks_running ON tasks (lane_id, worker) WHERE state = 'running';
CREATE INDEX tasks_idle ON tasks (run_id, node) WHERE state = 'pending' OR state = 'ready' OR state = 'waiting';
CREATE INDEX tasks_due ON tasks (due_at, seq) WHERE state = 'waiting' AND NOT held;
CREATE INDEX tasks_turn ON tasks (run_id, serial_key, priority DESC, number)
    WHERE serial_key IS NOT NULL AND state = 'pending' AND missing = 0 AND unmet = 0;
CREATE UNIQUE INDEX tasks_head ON tasks (run_id, serial_key) WHERE holds;
CREATE INDEX tasks_join ON tasks (run_id, join_number, join_place) WHERE join_number IS NOT NULL;
CREATE UNIQUE INDEX tasks_key ON tasks (run_id, node, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE graphs (
    id bigint PRIMARY KEY,
    created_at double precision NOT NULL,
    name text NOT NULL,
    version text,
    definition text NOT NULL
);

CREATE INDEX graphs_name ON graphs (name, version);

CREATE TABLE queues (
    name text PRIMARY KEY,
    "limit" bigint,
    paused boolean NOT NULL DEFAULT false
);

CREATE TABLE lanes (
    id bigint PRIMARY KEY,
    graph_id bigint NOT NULL,
    "limit" bigint,
    paused boolean NOT NULL DEFAULT false,
    queue text NOT NULL,
    node text
);

CREATE INDEX lanes_graph ON lanes (graph_id);
CREATE INDEX lanes_queue ON lanes (queue);

CREATE TABLE gates (
    run_id bigint NOT NULL,
    settled bigint,
    missing bigint,
    unmet bigint NOT NULL DEFAULT 0,
    node text NOT NULL,
    PRIMARY KEY (run_id, node)
);

CREATE SEQUENCE records_seq;

CREATE TABLE records (
    run_id bigint NOT NULL,
    seq bigint NOT NULL DEFAULT nextval('records_seq'),
    number bigint NOT NULL,
    node text NOT NULL,
    key text,
    value text NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE UNIQUE INDEX records_key ON records (run_id, node, key) WHERE key IS NOT NULL;

CREATE TABLE artifacts (
    run_id bigint NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    number bigint NOT NULL,
    size bigint NOT NULL,
    at double precision NOT NULL,
    name text NOT NULL,
    digest text NOT NULL,
    media_type text NOT NULL,
    tags text NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE attempts (
    run_id bigint NOT NULL,
    number bigint NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    started_at double precision,
    ended_at double precision NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL,
    worker text,
    reason text,
    PRIMARY KEY (run_id, number, seq)
);

CREATE SEQUENCE journal_seq;

CREATE TABLE journal (
    seq bigint PRIMARY KEY DEFAULT nextval('journal_seq'),
    run_id bigint NOT NULL,
    at double precision NOT NULL,
    actor text NOT NULL,
    event text NOT NULL
);

CREATE INDEX journal_run ON journal (run_id, seq);

CREATE TABLE workers (
    id text PRIMARY KEY,
    beat bigint NOT NULL,
    beat_at double precision NOT NULL,
    started_at double precision NOT NULL,
    pid bigint NOT NULL,
    state text NOT NULL,
    host text NOT NULL,
    process text NOT NULL,
    queues text NOT NULL,
    offers text NOT NULL
) WITH (fillfactor = 50);
