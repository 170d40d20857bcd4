-- Open reviews; one that is asked for again stays as it is.
INSERT INTO reviews (run_id, number, asked_at, due_at) VALUES (:run, :number, :asked_at, :due_at)
ON CONFLICT (run_id, number) DO NOTHING
