-- Tasks of a run, by number.
{task} WHERE t.run_id = :run AND t.number > :after ORDER BY t.number LIMIT :most
