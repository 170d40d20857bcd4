-- This process commits under a number; refused if it has given that number up.
INSERT INTO commits AS c (process, number) VALUES (:process, :number)
ON CONFLICT (process) DO UPDATE SET number = CASE WHEN c.number < :number THEN :number END, at = now()
