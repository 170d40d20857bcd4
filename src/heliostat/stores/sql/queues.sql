-- All queues.
{queue} ORDER BY name
