-- All lanes, with their queues.
{lane} ORDER BY l.id
