-- The open slice. A lock that every ingest shares keeps it open until the end of the transaction: the learner closes a slice
-- only when no ingest is adding to it. Two statements, so that the second sees the slice that the first has waited for.
SELECT pg_advisory_xact_lock_shared(hashtext('centralcloud.slice'));
-- Records of the slice must have greater ids than its beginning: the evidence is found by them.
SELECT
    slice_no,
    after_record_id,
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.routing_records_id_seq) AS last_record_id
FROM public.evidence_slices ORDER BY slice_no DESC LIMIT 1;
