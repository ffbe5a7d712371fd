-- Instances that were seen within a day, how many versions each is behind, and its decisions of the newest hour. One row an
-- instance. The decisions are served by idx_evidence_slice_no, over the slices of the newest hour.
SELECT
    instance_id,
    applied_version,
    greatest(0, (SELECT coalesce(max(version), 0) FROM public.model_scores) - applied_version) AS version_lag,
    extract(epoch FROM clock_timestamp() - last_seen_at)::double precision AS seconds_since_seen,
    coalesce(decisions, 0)::bigint AS decisions
FROM public.instances
LEFT JOIN (
    SELECT e.instance_id, greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless)) AS decisions
    FROM public.evidence e
    WHERE e.slice_no > (SELECT coalesce(max(slice_no), 0) FROM public.evidence_slices WHERE closed_at < now() - interval '1 hour')
    GROUP BY e.instance_id
) AS recent USING (instance_id)
WHERE last_seen_at > now() - interval '1 day'
ORDER BY instance_id;
