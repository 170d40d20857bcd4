-- Make waiting tasks ready; with a width, as the first of an each node's.
UPDATE tasks t SET state = CASE WHEN t.state = 'cancelled' THEN t.state ELSE 'ready' END, width = r.width, block = r.block,
    item = CASE WHEN r.width IS NULL THEN NULL ELSE 0 END
FROM json_to_recordset(:rows::json) AS r (width integer, block bigint, run bigint, number bigint)
{found}
