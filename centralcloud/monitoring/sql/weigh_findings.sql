-- Stores with each open finding its share of the fleet's decisions of the newest 24 hours: those of its pair, model, provider
-- or instance, or as many as the finding has messages; null when there were none, or it names none of these. A slice counts at the time when it was closed. An instance
-- that reports outcomes only has made as many decisions. Served by idx_evidence_slice_no: the cost grows with the evidence of
-- one day only.
WITH traffic AS MATERIALIZED (
    SELECT
        e.model_name, e.complexity_level, e.provider, e.instance_id,
        greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless)) AS decisions
    FROM public.evidence e
    JOIN public.evidence_slices s USING (slice_no)
    WHERE e.slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
      AND s.closed_at BETWEEN now() - interval '24 hours' AND now() + interval '5 minutes'  -- not of a clock that was ahead
    GROUP BY e.model_name, e.complexity_level, e.provider, e.instance_id
)
UPDATE public.findings f SET traffic_share = CASE
WHEN f.kind IN ('unknown_error_kind', 'values_ignored') THEN least(1, (f.details->>'messages')::double precision
    / (SELECT nullif(sum(decisions), 0) FROM traffic)::double precision)
WHEN
    f.details ?| ARRAY['model', 'provider'] OR f.kind IN ('quarantined_instance', 'publication_withheld')
THEN (
    SELECT coalesce(sum(t.decisions) FILTER (
        WHERE (f.details->>'model' IS NULL OR t.model_name = f.details->>'model')
          AND (f.details->>'complexity' IS NULL OR t.complexity_level = f.details->>'complexity')
          AND (f.details->>'provider' IS NULL OR t.provider = f.details->>'provider')
          AND (f.kind <> 'quarantined_instance' OR t.instance_id = f.subject)
          -- The scores of a rule in the shadow reach no instance.
          AND (f.kind <> 'publication_withheld'
               OR f.subject = (SELECT rule FROM public.learning_runs ORDER BY run_id DESC LIMIT 1))
    ), 0)
    FROM traffic t
)::double precision / (SELECT nullif(sum(decisions), 0) FROM traffic)::double precision END
WHERE closed_at IS NULL;
