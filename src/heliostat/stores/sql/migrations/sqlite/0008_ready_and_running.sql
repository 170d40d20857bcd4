-- Ready and running tasks have an index each again: an entry of both moves twice in the life of a task either way, and
-- short ones of numbers alone are found in half the time.

DROP INDEX tasks_lane;
CREATE INDEX tasks_ready ON tasks (lane_id, priority DESC) WHERE state = 'ready' AND NOT held;
CREATE INDEX tasks_running ON tasks (lane_id) WHERE state = 'running';
