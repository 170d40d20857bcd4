-- Write a lane.
INSERT INTO lanes (id, queue, graph_id, node, "limit", paused) VALUES (:id, :queue, :graph, :node, :most, :paused)
ON CONFLICT (id) DO UPDATE SET queue = excluded.queue, "limit" = excluded."limit", paused = excluded.paused
