-- What a run keeps, in the order kept.
SELECT name, digest, size, media_type, tags, number, at FROM artifacts WHERE run_id = :run ORDER BY seq
