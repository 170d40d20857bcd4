-- The second half of a lease: what was locked begins, unless its run is over.
begun AS MATERIALIZED (
    SELECT picked.at, (SELECT r.parent FROM runs r WHERE r.id = picked.run_id) AS parent,
        picked.epilogue OR (SELECT r.state FROM runs r WHERE r.id = picked.run_id) = 'active' AS begins
    FROM picked
)
UPDATE tasks t SET
    state = CASE WHEN begun.begins THEN 'running' ELSE 'cancelled' END,
    attempt = CASE WHEN begun.begins THEN t.attempt + 1 ELSE t.attempt END,
    worker = CASE WHEN begun.begins THEN :worker ELSE t.worker END,
    started_at = CASE WHEN begun.begins THEN :now ELSE t.started_at END,
    reason = CASE WHEN begun.begins THEN t.reason ELSE 'the run was over' END,
    ended_at = CASE WHEN begun.begins THEN t.ended_at ELSE :now END,
    holds = t.holds AND begun.begins
FROM begun WHERE t.ctid = begun.at
RETURNING t.priority, t.seq, begun.begins, t.run_id, t.number, t.attempt, t.node, t.item, t.message, t.serial_key,
    t.join_number, t.join_place, t.failures, t.rescues, t.due_at, t.epilogue, begun.parent, t.lane_id
