-- Have a schedule; one that the workflow has stays as it is.
INSERT INTO schedules (workflow, graph_id, next_at) VALUES (:workflow, :graph, :next_at)
ON CONFLICT (workflow) DO NOTHING
