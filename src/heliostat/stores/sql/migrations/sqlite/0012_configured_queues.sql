-- What the configuration has said last of a queue, and which of its terms an operator has set.

ALTER TABLE queues ADD COLUMN configured_limit INTEGER;
ALTER TABLE queues ADD COLUMN configured_rate TEXT;
ALTER TABLE queues ADD COLUMN by_hand TEXT NOT NULL DEFAULT '';
