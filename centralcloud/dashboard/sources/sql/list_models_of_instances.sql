-- Decisions of the last 24 hours by instance and model, most first: what the view dashboard_models_per_instance counts from the
-- records, here from the evidence, which is far smaller. A slice counts at the time when it was closed. Served by
-- idx_evidence_slice_no; the cost grows with the evidence of one day. At most 20,000 rows.
SELECT
    e.instance_id,
    e.model_name AS model,
    greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless))::bigint AS decisions,
    sum(e.successes)::bigint AS successes,
    sum(e.failures)::bigint AS failures
FROM public.evidence e
WHERE e.slice_no > (SELECT coalesce(max(slice_no), 0) FROM public.evidence_slices WHERE closed_at < now() - interval '24 hours')
GROUP BY e.instance_id, e.model_name
ORDER BY e.instance_id, decisions DESC, e.model_name
LIMIT 20000;
