-- Tasks that are running, in all runs, and which try each of them is at.
SELECT t.run_id, t.number, l.graph_id, t.node, l.queue, t.failures + 1 FROM lanes l CROSS JOIN tasks t
WHERE t.lane_id = l.id AND t.state = 'running' LIMIT :most
