-- Forget old lines of the journal that tell of several runs, among so many numbers; never the newest line of all.
DELETE FROM journal
WHERE seq >= :first AND seq < :beyond AND run_id = 0 AND at < :before AND seq < (SELECT max(seq) FROM journal)
