-- The whole numbers of a JSON list.
SELECT value FROM json_each(:ids)
