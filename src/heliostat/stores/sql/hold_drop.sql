-- Something goes on.
DELETE FROM holds WHERE run_id = :run AND kind = :kind AND name = :name
