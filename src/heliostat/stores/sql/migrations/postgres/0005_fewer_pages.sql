-- Lines of the journal that tell of several runs are looked up by no run.

DROP INDEX journal_run;
CREATE INDEX journal_run ON journal (run_id, seq) WHERE run_id <> 0;
