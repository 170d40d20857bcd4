-- The tasks that a JSON list of pairs names, each looked up by its key (OFFSET 0 keeps the planner from another way).
json_array_elements(:references::json) WITH ORDINALITY AS wanted (pair, place)
    CROSS JOIN LATERAL (
        SELECT * FROM tasks
        WHERE run_id = (wanted.pair ->> 0)::bigint AND number = (wanted.pair ->> 1)::bigint OFFSET 0
    ) t
