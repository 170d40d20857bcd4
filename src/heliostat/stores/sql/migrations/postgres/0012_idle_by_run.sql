-- The idle tasks of a run are looked up by their run alone; a plan that is made while there are few tasks must not go
-- over those of all runs to find what is ready in a lane.

DROP INDEX tasks_idle;
CREATE INDEX tasks_idle ON tasks (run_id, node)
    WHERE run_id IS NOT NULL AND (state = 'pending' OR state = 'ready' OR state = 'waiting');
