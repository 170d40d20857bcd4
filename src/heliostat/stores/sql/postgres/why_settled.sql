-- Of the upstream tasks with these numbers, those that are final with all of their items.
SELECT f.number FROM json_array_elements_text(:ids::json) AS wanted (number)
JOIN tasks f ON f.run_id = :run AND f.number = wanted.number::bigint
WHERE f.state NOT IN ('pending', 'ready', 'running', 'waiting') AND NOT EXISTS (
    SELECT 1 FROM tasks t
    WHERE t.run_id = f.run_id AND t.number BETWEEN f.block AND f.block + f.width - 2
        AND t.state IN ('pending', 'ready', 'running', 'waiting'))
