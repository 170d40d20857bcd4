-- Keep artifacts.
INSERT INTO artifacts (run_id, number, name, digest, size, media_type, tags, at)
VALUES (:run, :number, :name, :digest, :size, :media_type, :tags, :at)
