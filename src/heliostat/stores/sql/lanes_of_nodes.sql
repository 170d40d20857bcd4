-- The lanes that nodes have for themselves.
SELECT id, queue, graph_id, node, "limit", paused FROM lanes WHERE node IS NOT NULL ORDER BY graph_id, node
