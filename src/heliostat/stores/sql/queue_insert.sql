-- Have queues; those that exist stay as operators set them.
INSERT INTO queues (name) VALUES (:name) ON CONFLICT (name) DO NOTHING
