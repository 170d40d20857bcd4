-- Lock the schedules of some workflows.
SELECT {schedule} FROM json_each(:names) AS wanted CROSS JOIN schedules ON workflow = wanted.value ORDER BY workflow
