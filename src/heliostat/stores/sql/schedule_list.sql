-- All schedules.
SELECT {schedule} FROM schedules ORDER BY workflow
