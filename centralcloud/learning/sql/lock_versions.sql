-- Waits for the lock of all writers of model_versions and model_changes; the transaction holds it until its end.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.versions'));
