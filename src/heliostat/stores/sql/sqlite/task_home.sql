-- Move a ready task to the lane where it belongs.
UPDATE tasks SET lane_id = :lane WHERE seq = :seq
