-- The first line of the journal from a number on, and when the oldest of so many was written.
SELECT min(seq), min(at) FROM (SELECT seq, at FROM journal WHERE seq >= :first ORDER BY seq LIMIT :most) AS oldest
