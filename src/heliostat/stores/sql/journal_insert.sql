-- Append to the journal.
INSERT INTO journal (run_id, at, actor, event) VALUES (:run, :at, :actor, :event)
