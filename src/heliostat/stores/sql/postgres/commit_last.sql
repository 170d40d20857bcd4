-- The last number under which a process committed, or which it gave up.
SELECT number FROM commits WHERE process = :process
