-- Who has paused queues, nodes, workflows and a run.
SELECT kind, name, at, actor, reason, run_id FROM holds WHERE run_id IN (0, :run) ORDER BY kind, name
