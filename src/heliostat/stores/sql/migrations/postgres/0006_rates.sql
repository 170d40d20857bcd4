-- How many attempts of a queue may begin in a time, and from when on the next one may.

ALTER TABLE queues ADD COLUMN rate text;
ALTER TABLE queues ADD COLUMN free_at double precision NOT NULL DEFAULT 0;
