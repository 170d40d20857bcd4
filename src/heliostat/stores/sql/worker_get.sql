-- A worker, whatever has become of it.
SELECT {worker} FROM workers WHERE id = :worker
