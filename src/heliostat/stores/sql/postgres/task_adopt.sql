-- Pass running attempts on to another worker.
UPDATE tasks t SET worker = r.worker, attempt = t.attempt + 1
FROM json_to_recordset(:rows::json) AS r (run bigint, number bigint, attempt integer, worker text)
{found} AND CASE WHEN t.state = 'running' THEN t.attempt = r.attempt ELSE false END
