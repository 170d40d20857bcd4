-- Insert tasks; seq, the order of acceptance, is the order in which they are given.
INSERT INTO tasks (run_id, number, lane_id, node, item, state, held, priority, serial_key, missing, unmet, width,
    block, join_number, join_place, cause, message, idempotency_key, due_at, epilogue, reason, created_at, ended_at)
VALUES (:run, :number, :lane, :node, :item, :state, :held, :priority, :key, :missing, :unmet, :width,
    :block, :join, :place, :cause, :message, :idempotency_key, :due_at, :epilogue, :reason, :created_at, :ended_at)
