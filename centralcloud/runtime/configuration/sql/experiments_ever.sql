-- Every experiment that there was, as it was last, those that were removed included.
SELECT id, body FROM centralcloud.experiments_ever();
