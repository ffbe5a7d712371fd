-- The open slice. A lock that every ingest shares keeps it open until the end of the transaction: the learner closes a slice
-- only when no ingest is adding to it. Two statements, so that the second sees the slice that the first has waited for.
SELECT pg_advisory_xact_lock_shared(hashtext('centralcloud.slice'));
SELECT slice_no FROM public.evidence_slices ORDER BY slice_no DESC LIMIT 1;
