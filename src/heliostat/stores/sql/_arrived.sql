-- What ``rows.Arrived`` tells of a task.
t.run_id, t.number, t.node, t.missing, t.unmet, t.width, t.serial_key, t.join_number
