-- How tasks came out.
SELECT t.run_id, t.number, {settled}
FROM json_each(:references) AS wanted
CROSS JOIN tasks t ON t.run_id = json_extract(wanted.value, '$[0]') AND t.number = json_extract(wanted.value, '$[1]')
