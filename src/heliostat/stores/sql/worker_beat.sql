-- Write a heartbeat; changes nothing when the worker was declared lost. One that drains goes on draining.
INSERT INTO workers (id, host, pid, process, queues, offers, beat, beat_at, started_at, state, code, site)
VALUES (:id, :host, :pid, :process, :queues, :offers, 1, :now, :started_at, :state, :code, :site)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, process = excluded.process,
    queues = excluded.queues, offers = excluded.offers, beat = workers.beat + 1, beat_at = excluded.beat_at,
    started_at = excluded.started_at, code = excluded.code, site = excluded.site,
    state = CASE WHEN workers.state = 'draining' AND excluded.state = 'active' THEN 'draining' ELSE excluded.state END
WHERE workers.state <> 'lost'
