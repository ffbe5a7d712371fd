-- Held to the end of the transaction by every ingest: the learner closes a slice only when nobody is adding to it.
SELECT pg_advisory_xact_lock_shared(hashtext('centralcloud.slice'));
