-- The second half of a lease: what was locked begins, unless its run is over or it belongs into another lane.
homes AS MATERIALIZED (
    SELECT picked.*, (
        SELECT s.own FROM json_to_recordset(:strays::json) AS s (lane bigint, node text, own bigint)
        WHERE s.lane = picked.lane_id AND s.node = picked.node) AS home
    FROM picked
), begun AS MATERIALIZED (
    SELECT homes.at, homes.home, (SELECT r.parent FROM runs r WHERE r.id = homes.run_id) AS parent,
        CASE WHEN homes.home IS NOT NULL THEN 'ready'
            WHEN homes.epilogue OR (SELECT r.state FROM runs r WHERE r.id = homes.run_id) = 'active' THEN 'running'
            ELSE 'cancelled' END AS state
    FROM homes
)
UPDATE tasks t SET
    state = begun.state,
    lane_id = coalesce(begun.home, t.lane_id),
    attempt = CASE WHEN begun.state = 'running' THEN t.attempt + 1 ELSE t.attempt END,
    worker = CASE WHEN begun.state = 'running' THEN :worker ELSE t.worker END,
    started_at = CASE WHEN begun.state = 'running' THEN :now ELSE t.started_at END,
    reason = CASE WHEN begun.state = 'cancelled' THEN 'the run was over' ELSE t.reason END,
    ended_at = CASE WHEN begun.state = 'cancelled' THEN :now ELSE t.ended_at END
FROM begun WHERE t.ctid = begun.at
RETURNING t.priority, t.seq, begun.state, t.run_id, t.number, t.attempt, t.node, t.item, t.message, t.serial_key,
    t.join_number, t.join_place, t.failures, t.rescues, t.due_at, t.epilogue, begun.parent, t.lane_id
