-- A worker as ``store.WorkerInfo`` has it.
id, host, pid, process, queues, offers, beat, beat_at, started_at, state, code, site
