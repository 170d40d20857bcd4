-- The lanes of definitions, with their queues.
{lane} WHERE l.graph_id {among} ORDER BY l.id
