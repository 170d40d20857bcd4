-- Everything that Heliostat keeps. Times are seconds since 1970; states are the words of the state machines.

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    graph_id INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    closing INTEGER NOT NULL DEFAULT 0,
    leftover INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL,
    parent INTEGER,
    parent_task INTEGER,
    created_at REAL NOT NULL,
    ended_at REAL,
    idempotency_key TEXT,
    message TEXT NOT NULL,
    result TEXT,
    reason TEXT
);

CREATE UNIQUE INDEX runs_key ON runs (workflow, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_workflow ON runs (workflow, id);
CREATE INDEX runs_state ON runs (state, id);
CREATE INDEX runs_parent ON runs (parent, parent_task) WHERE parent IS NOT NULL;
CREATE INDEX runs_leftover ON runs (id) WHERE leftover;
CREATE INDEX runs_ended ON runs (ended_at, id) WHERE ended_at IS NOT NULL;

CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    lane_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    state TEXT NOT NULL,
    held INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    unmet INTEGER NOT NULL,
    epilogue INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    rescues INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    holds INTEGER NOT NULL DEFAULT 0,
    item INTEGER,
    width INTEGER,
    block INTEGER,
    join_number INTEGER,
    join_place INTEGER,
    cause INTEGER,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    due_at REAL,
    worker TEXT,
    serial_key TEXT,
    idempotency_key TEXT,
    message TEXT,
    result TEXT,
    reason TEXT,
    UNIQUE (run_id, number)
);

CREATE INDEX tasks_ready ON tasks (lane_id, priority DESC, seq) WHERE state = 'ready' AND NOT held;
CREATE INDEX tasks_running ON tasks (lane_id, worker) WHERE state = 'running';
CREATE INDEX tasks_due ON tasks (due_at, seq) WHERE state = 'waiting' AND NOT held;
CREATE INDEX tasks_turn ON tasks (run_id, serial_key, priority DESC, number)
    WHERE serial_key IS NOT NULL AND state = 'pending' AND missing = 0 AND unmet = 0;
CREATE UNIQUE INDEX tasks_head ON tasks (run_id, serial_key) WHERE holds;
CREATE INDEX tasks_join ON tasks (run_id, join_number, join_place) WHERE join_number IS NOT NULL;
CREATE UNIQUE INDEX tasks_key ON tasks (run_id, node, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE graphs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT,
    definition TEXT NOT NULL,
    created_at REAL NOT NULL
);

CREATE INDEX graphs_name ON graphs (name, version);

CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    "limit" INTEGER,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE lanes (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    graph_id INTEGER NOT NULL,
    node TEXT,
    "limit" INTEGER,
    paused INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX lanes_graph ON lanes (graph_id);
CREATE INDEX lanes_queue ON lanes (queue);

CREATE TABLE gates (
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    settled INTEGER,
    missing INTEGER,
    unmet INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, node)
) WITHOUT ROWID;

CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    key TEXT,
    number INTEGER NOT NULL,
    value TEXT NOT NULL
);

CREATE INDEX records_run ON records (run_id, node);
CREATE UNIQUE INDEX records_key ON records (run_id, node, key) WHERE key IS NOT NULL;

CREATE TABLE artifacts (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    tags TEXT NOT NULL,
    at REAL NOT NULL
);

CREATE INDEX artifacts_run ON artifacts (run_id);

CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    worker TEXT,
    started_at REAL,
    ended_at REAL NOT NULL,
    reason TEXT
);

CREATE INDEX attempts_run ON attempts (run_id, number);

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    event TEXT NOT NULL
);

CREATE INDEX journal_run ON journal (run_id);

CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    queues TEXT NOT NULL,
    offers TEXT NOT NULL,
    beat INTEGER NOT NULL,
    beat_at REAL NOT NULL,
    started_at REAL NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;
