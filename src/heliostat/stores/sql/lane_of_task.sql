-- The lane of a task, and its queue.
{lane} JOIN tasks t ON t.lane_id = l.id WHERE t.run_id = :run AND t.number = :number
