-- Append to the journal.
INSERT INTO journal (run_id, at, actor, event)
SELECT r.run, r.at, r.actor, r.event
FROM json_to_recordset(:rows::json) AS r (run bigint, at double precision, actor text, event text)
