-- Insert runs; what they become is written by run_change in the same transaction.
INSERT INTO runs (id, graph_id, workflow, state, name, priority, message, idempotency_key, parent, parent_task,
    created_at, deadline_at)
VALUES (:id, :graph, (SELECT name FROM graphs WHERE id = :graph), 'active', :name, :priority, :message,
    :idempotency_key, :parent, :parent_task, :created_at, :deadline_at)
