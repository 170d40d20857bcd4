-- Lease the best ready tasks of a lane; those of a run that is over are cancelled instead.
UPDATE tasks SET state = iif(best.live, 'running', 'cancelled'), attempt = attempt + best.live,
    worker = iif(best.live, :worker, worker), started_at = iif(best.live, :now, started_at),
    reason = iif(best.live, reason, 'the run was over'), ended_at = iif(best.live, ended_at, :now),
    holds = holds AND best.live
FROM (
    SELECT t.seq AS head, r.state = 'active' OR t.epilogue AS live
    FROM tasks t JOIN runs r ON r.id = t.run_id
    WHERE t.lane_id = :lane AND t.state = 'ready' AND NOT t.held
    ORDER BY t.priority DESC, t.seq LIMIT :most
) AS best
WHERE tasks.seq = best.head
RETURNING -priority, seq, state, run_id, number, attempt, node, item, message, serial_key, join_number, join_place,
    failures, rescues, due_at, epilogue, (SELECT r.parent FROM runs r WHERE r.id = run_id)
