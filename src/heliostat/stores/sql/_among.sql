-- One of the whole numbers of a JSON list.
IN (SELECT value FROM json_each(:ids))
