-- Insert tasks; seq, the order of acceptance, is the order in which they are given.
INSERT INTO tasks (run_id, number, lane_id, node, item, state, held, priority, serial_key, missing, unmet, width,
    block, join_number, join_place, cause, message, idempotency_key, due_at, epilogue, reason, created_at, ended_at)
SELECT r.run, r.number, r.lane, r.node, r.item, r.state, r.held, r.priority, r.key, r.missing, r.unmet, r.width,
    r.block, r."join", r.place, r.cause, r.message, r.idempotency_key, r.due_at, r.epilogue, r.reason, r.created_at,
    r.ended_at
FROM json_to_recordset(:rows::json) AS r (run bigint, number bigint, lane bigint, node text, item integer, state text,
    held boolean, priority integer, key text, missing integer, unmet integer, width integer, block bigint,
    "join" bigint, place integer, cause bigint, message text, idempotency_key text, due_at double precision,
    epilogue boolean, reason text, created_at double precision, ended_at double precision)
