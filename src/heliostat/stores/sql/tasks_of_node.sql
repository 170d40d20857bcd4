-- Tasks of a node in a run, by number.
{task} WHERE t.run_id = :run AND t.number > :after AND t.node = :node ORDER BY t.number LIMIT :most
