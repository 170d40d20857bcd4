-- Nothing of ended runs is left but what is running or belongs after the end.
UPDATE runs SET leftover = 0 WHERE id {among}
