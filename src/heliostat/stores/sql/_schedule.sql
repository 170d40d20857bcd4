-- The columns of a schedule.
workflow, graph_id, next_at, last_at, paused
