-- Tasks of a run in a state, by number.
{task} WHERE t.run_id = :run AND t.number > :after AND t.state = :state ORDER BY t.number LIMIT :most
