-- What ``review.Review`` tells; each task is looked up by its key (OFFSET 0 keeps the planner from another way).
r.run_id, r.number, t.node, t.item, r.asked_at, r.due_at, r.claimed_by, r.claimed_at
FROM reviews r CROSS JOIN LATERAL (
    SELECT node, item FROM tasks WHERE run_id = r.run_id AND number = r.number OFFSET 0
) t
WHERE true
