-- When the earliest of the attempts that are running began.
SELECT min(t.started_at) FROM lanes l CROSS JOIN tasks t WHERE t.lane_id = l.id AND t.state = 'running'
