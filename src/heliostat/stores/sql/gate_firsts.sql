-- The first task that each handler of a run settled.
SELECT node, settled FROM gates WHERE run_id = :run AND settled IS NOT NULL
