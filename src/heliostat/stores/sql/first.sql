-- How the first settled task of a handler came out.
SELECT {settled} FROM gates g JOIN tasks t ON t.run_id = g.run_id AND t.number = g.settled
WHERE g.run_id = :run AND g.node = :node
