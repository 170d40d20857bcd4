-- Who sent to whom in a run, how often, and the seconds the receiver ran.
SELECT c.node, t.node, count(*), coalesce(sum(t.ended_at - t.started_at), 0.0)
FROM tasks t LEFT JOIN tasks c ON c.run_id = t.run_id AND c.number = t.cause
WHERE t.run_id = :run GROUP BY c.node, t.node
