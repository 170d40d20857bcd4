-- A task that has not begun (spelled so because SQLite builds a table for each IN).
(state = 'pending' OR state = 'ready' OR state = 'waiting')
