-- The first line of the journal from a number on.
SELECT seq, at FROM journal WHERE seq >= :first ORDER BY seq LIMIT 1
