-- The lane where a task belongs, and its queue: its node's own if there is one, though it may not be there yet.
{lane} WHERE l.id = (
    SELECT coalesce((SELECT own.id FROM lanes own WHERE own.graph_id = o.graph_id AND own.node = t.node), o.id)
    FROM tasks t JOIN lanes o ON o.id = t.lane_id WHERE t.run_id = :run AND t.number = :number)
