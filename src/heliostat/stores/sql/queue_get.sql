-- One queue.
{queue} WHERE name = :name
