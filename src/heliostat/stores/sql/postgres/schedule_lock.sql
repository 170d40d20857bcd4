-- Lock the schedules of some workflows.
SELECT {schedule} FROM schedules WHERE workflow IN (SELECT value FROM json_array_elements_text(:names::json))
ORDER BY workflow FOR NO KEY UPDATE
