-- Insert many tasks at once.
COPY tasks (run_id, number, lane_id, node, item, state, held, priority, serial_key, missing, unmet, width,
    block, join_number, join_place, cause, message, idempotency_key, due_at, epilogue, reason, created_at, ended_at)
FROM STDIN
