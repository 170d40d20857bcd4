-- One task.
{task} WHERE t.run_id = :run AND t.number = :number
