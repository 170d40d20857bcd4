-- What ``review.Review`` tells.
r.run_id, r.number, t.node, t.item, r.asked_at, r.due_at, r.claimed_by, r.claimed_at
FROM reviews r JOIN tasks t ON t.run_id = r.run_id AND t.number = r.number
