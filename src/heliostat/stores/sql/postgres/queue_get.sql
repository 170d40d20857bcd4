-- Lock one queue.
{queue} WHERE name = :name FOR NO KEY UPDATE
