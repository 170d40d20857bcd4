-- How many tasks run in lanes.
SELECT lane_id, count(*) FROM tasks WHERE state = 'running' AND lane_id {among} GROUP BY lane_id
