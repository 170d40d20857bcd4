-- The place of the task that a row ``r`` is about, locked.
CROSS JOIN LATERAL (
    SELECT own.ctid AS at FROM tasks own WHERE own.run_id = r.run AND own.number = r.number OFFSET 0 FOR NO KEY UPDATE
) found
WHERE t.ctid = found.at
