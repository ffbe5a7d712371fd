-- The slice that is open, held open to the end of the transaction by a lock that every ingest shares: the learner closes a
-- slice only when nobody is adding to it. Two statements, so that the second sees what the first has waited for.
SELECT pg_advisory_xact_lock_shared(hashtext('centralcloud.slice'));
SELECT slice_no FROM evidence_slices ORDER BY slice_no DESC LIMIT 1;
