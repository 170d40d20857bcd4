-- Which handler of which run hears of a run's end.
SELECT r.parent, (SELECT t.node FROM tasks t WHERE t.run_id = r.parent AND t.number = r.parent_task) FROM runs r
WHERE r.id = :run
