-- The last number of the journal that was taken.
SELECT last_value - (NOT is_called)::integer FROM journal_seq
