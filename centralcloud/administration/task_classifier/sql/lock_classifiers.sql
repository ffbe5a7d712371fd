-- Writers wait for each other until the end of the transaction: numbers have no gaps, and no two writers draw the same one.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.task_classifiers'));
