-- The tasks that a JSON list of pairs names.
json_array_elements(:references::json) AS wanted (pair)
    JOIN tasks t ON t.run_id = (wanted.pair ->> 0)::bigint AND t.number = (wanted.pair ->> 1)::bigint
