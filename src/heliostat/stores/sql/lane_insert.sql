-- Have a lane; one that exists stays as operators set it.
INSERT INTO lanes (id, queue, graph_id, node, "limit", paused) VALUES (:id, :queue, :graph, :node, :most, :paused)
ON CONFLICT (id) DO NOTHING
