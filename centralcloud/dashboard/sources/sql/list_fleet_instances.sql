-- Every registered instance, the 5,000 that were seen last, with its decisions of the newest hour. One row an instance, which the
-- whole table is read for; decisions are served by idx_evidence_slice_no, findings by idx_findings_open.
WITH newest AS (
    SELECT coalesce(max(version), 0) AS version FROM public.model_scores
), settled AS (
    -- The newest version that every instance has had time to apply: as in read_fleet.sql.
    SELECT coalesce(max(version), 0) AS version FROM public.model_scores WHERE updated_at < now() - interval '15 seconds'
), recent AS (
    SELECT e.instance_id, greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless)) AS decisions
    FROM public.evidence e
    WHERE e.slice_no > (SELECT coalesce(max(slice_no), 0) FROM public.evidence_slices WHERE closed_at < now() - interval '1 hour')
    GROUP BY e.instance_id
), quarantined AS (
    SELECT subject AS instance_id, finding_id
    FROM public.findings WHERE closed_at IS NULL AND kind = 'quarantined_instance'
)
SELECT
    i.instance_id,
    i.applied_version,
    greatest(0, newest.version - i.applied_version)::bigint AS versions_behind,
    i.last_seen_at > now() - interval '1 day' AND i.applied_version < settled.version AS is_behind,
    i.first_seen_at,
    i.last_seen_at,
    i.last_seen_at < now() - interval '10 minutes' AS is_silent,
    coalesce(r.decisions, 0)::bigint AS decisions,
    q.finding_id AS quarantine
FROM public.instances i
CROSS JOIN newest
CROSS JOIN settled
LEFT JOIN recent r USING (instance_id)
LEFT JOIN quarantined q USING (instance_id)
ORDER BY i.last_seen_at DESC, i.instance_id
LIMIT 5000;
