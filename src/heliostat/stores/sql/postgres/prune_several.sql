-- Forget old lines of the journal that tell of several runs, of the oldest thousand.
DELETE FROM journal WHERE seq = ANY (ARRAY(
    SELECT oldest.seq FROM (SELECT seq, at FROM journal WHERE run_id = :several ORDER BY seq LIMIT :most) AS oldest
    WHERE oldest.at < :before))
