-- Waits for the ingest transactions in flight, which take some milliseconds each; new ones queue up behind this lock.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.slice'));
