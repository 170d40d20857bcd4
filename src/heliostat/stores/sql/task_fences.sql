-- Where tasks stand, for attempts that want to settle.
SELECT t.run_id, t.number, t.state, t.attempt, t.settled, t.worker, CASE WHEN t.unmet > 0 THEN t.reason END
FROM json_each(:references) AS wanted
CROSS JOIN tasks t ON t.run_id = json_extract(wanted.value, '$[0]') AND t.number = json_extract(wanted.value, '$[1]')
