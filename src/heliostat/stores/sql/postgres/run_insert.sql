-- Insert runs; what they become is written by run_change in the same transaction.
INSERT INTO runs (id, graph_id, workflow, state, name, priority, message, idempotency_key, parent, parent_task,
    created_at, deadline_at)
SELECT r.id, r.graph, (SELECT g.name FROM graphs g WHERE g.id = r.graph), 'active', r.name, r.priority, r.message,
    r.idempotency_key, r.parent, r.parent_task, r.created_at, r.deadline_at
FROM json_to_recordset(:rows::json) AS r (id bigint, graph bigint, name text, priority integer, message text,
    idempotency_key text, parent bigint, parent_task bigint, created_at double precision,
    deadline_at double precision)
