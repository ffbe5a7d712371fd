-- Every instance that has acknowledged a score, with its outcomes of the newest 24 hours. One row an instance; outcomes are
-- served by idx_evidence_slice_no and, for slices that are not gathered yet, by the primary key of routing_records.
WITH outcomes AS (
    SELECT instance_id, sum(outcomes)::bigint AS outcomes
    FROM (
        SELECT instance_id, successes + failures AS outcomes
        FROM public.evidence JOIN public.evidence_slices USING (slice_no)
        WHERE slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
          AND closed_at > now() - interval '24 hours'
        UNION ALL
        SELECT instance_id, 1
        FROM public.evidence_of_records
        WHERE id > (SELECT min(after_record_id) FROM public.evidence_slices WHERE gathered_at IS NULL)
          AND slice_no IN (SELECT slice_no FROM public.evidence_slices WHERE gathered_at IS NULL)
          AND created_at > now() - interval '24 hours'
          AND (success OR failure)
    ) AS of_slices
    GROUP BY instance_id
)
SELECT
    instance_id,
    applied_version,
    greatest(0, coalesce((SELECT max(version) FROM public.model_scores), 0) - applied_version) AS versions_behind,
    first_seen_at,
    last_seen_at,
    coalesce(outcomes, 0) AS outcomes_last_24_hours,
    EXISTS (
        SELECT FROM public.findings
        WHERE kind = 'quarantined_instance' AND subject = instance_id AND closed_at IS NULL
    ) AS quarantined
FROM public.instances
LEFT JOIN outcomes USING (instance_id)
ORDER BY instance_id;
