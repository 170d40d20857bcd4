-- Nothing commits under a number of this process any more, unless it has; what is about to is waited for.
INSERT INTO commits AS c (process, number) VALUES (:process, :number + 1)
ON CONFLICT (process) DO UPDATE SET number = :number + 1, at = now() WHERE c.number < :number
