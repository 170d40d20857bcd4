-- What the configuration has said last of a queue, and which of its terms an operator has set.

ALTER TABLE queues ADD COLUMN configured_limit bigint;
ALTER TABLE queues ADD COLUMN configured_rate text;
ALTER TABLE queues ADD COLUMN by_hand text NOT NULL DEFAULT '';
