-- What ``review.Review`` tells (CROSS JOIN, so that SQLite begins with the few).
r.run_id, r.number, t.node, t.item, r.asked_at, r.due_at, r.claimed_by, r.claimed_at
FROM reviews r CROSS JOIN tasks t WHERE t.run_id = r.run_id AND t.number = r.number
