-- Tasks of a node in a run that are in a state, by number.
{task} WHERE t.run_id = :run AND t.number > :after AND t.node = :node AND t.state = :state ORDER BY t.number LIMIT :most
