-- Of these tasks, those at which something can arrive.
SELECT {arrived}
FROM json_each(:references) AS wanted
CROSS JOIN tasks t ON t.run_id = json_extract(wanted.value, '$[0]') AND t.number = json_extract(wanted.value, '$[1]')
WHERE t.state IN ('pending', 'waiting', 'cancelled')
