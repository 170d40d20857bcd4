-- The lanes of definitions, with their queues.
{lane} WHERE l.graph_id IN ({ids}) ORDER BY l.id
