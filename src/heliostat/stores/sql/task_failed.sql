-- Whether any task of an each node has failed.
SELECT EXISTS (
    SELECT 1 FROM tasks f WHERE f.run_id = :run AND f.number = :number AND f.width > 0 AND f.item = 0 AND (
        f.state = 'failed' OR EXISTS (
            SELECT 1 FROM tasks t
            WHERE t.run_id = f.run_id AND t.number BETWEEN f.block AND f.block + f.width - 2 AND t.state = 'failed')))
