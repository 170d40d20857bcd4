-- Of forgotten runs, so much is gone from among the files.
DELETE FROM discarded WHERE seq {among}
