-- Remember who has paused something, when and why.
INSERT INTO holds (run_id, kind, name, at, actor, reason) VALUES (:run, :kind, :name, :at, :actor, :reason)
ON CONFLICT (run_id, kind, name) DO UPDATE SET at = excluded.at, actor = excluded.actor, reason = excluded.reason
