-- How the members of a handler's join came out; where one passed its place on, the last counts.
SELECT t.join_place, {settled}
FROM tasks t WHERE t.run_id = :run AND t.join_number = :number ORDER BY t.join_place, t.number
