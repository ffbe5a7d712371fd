-- Waits for the ingest transactions in flight (each some milliseconds); new ones queue up behind.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.slice'));
