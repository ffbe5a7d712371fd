-- Stores with each open finding its share of the fleet's decisions of the newest 24 hours: those of its pair, model, provider
-- or instance, or as many as the finding has messages; null when there were none, or it names none of these. A slice counts at
-- the time when it was closed. An instance that reports outcomes only has made as many decisions. Served by idx_evidence_slice_no: the cost grows with the evidence of
-- one day only, and not with its product with the findings.
WITH traffic AS MATERIALIZED (
    SELECT
        e.model_name, e.complexity_level, e.provider, e.instance_id,
        greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless)) AS decisions
    FROM public.evidence e
    JOIN public.evidence_slices s USING (slice_no)
    WHERE e.slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
      AND s.closed_at BETWEEN now() - interval '24 hours' AND now() + interval '5 minutes'  -- not of a clock that was ahead
    GROUP BY e.model_name, e.complexity_level, e.provider, e.instance_id
), finding AS MATERIALIZED (
    SELECT
        finding_id,
        details->>'model' AS model,
        details->>'complexity' AS complexity,
        details->>'provider' AS provider,
        coalesce(details->>'instance', CASE WHEN kind = 'quarantined_instance' THEN subject END) AS instance_id,
        -- The scores of a rule in the shadow reach no instance.
        CASE WHEN kind = 'publication_withheld' THEN subject = (SELECT rule FROM public.learning_runs ORDER BY run_id DESC LIMIT 1) END
            AS is_of_the_active_rule
    FROM public.findings WHERE closed_at IS NULL
), share AS (
    SELECT finding_id, sum(decisions) AS decisions
    FROM finding f JOIN traffic t ON t.model_name = f.model
    WHERE (f.complexity IS NULL OR t.complexity_level = f.complexity) AND (f.provider IS NULL OR t.provider = f.provider)
    GROUP BY finding_id
    UNION ALL
    SELECT finding_id, sum(decisions)
    FROM finding f JOIN traffic t ON t.provider = f.provider
    WHERE f.model IS NULL AND (f.complexity IS NULL OR t.complexity_level = f.complexity)
    GROUP BY finding_id
    UNION ALL
    SELECT finding_id, sum(decisions)
    FROM finding f JOIN traffic t ON t.instance_id = f.instance_id
    WHERE f.model IS NULL AND f.provider IS NULL
    GROUP BY finding_id
    UNION ALL
    SELECT finding_id, (SELECT sum(decisions) FROM traffic) FROM finding WHERE is_of_the_active_rule
)
UPDATE public.findings f SET traffic_share = CASE
    WHEN f.kind IN ('unknown_error_kind', 'values_ignored', 'repeated_decision_ids')
    THEN least(1, (f.details->>'messages')::double precision / (SELECT nullif(sum(decisions), 0) FROM traffic)::double precision)
    WHEN num_nonnulls(g.model, g.provider, g.instance_id, g.is_of_the_active_rule) > 0
    THEN coalesce(share.decisions, 0)::double precision / (SELECT nullif(sum(decisions), 0) FROM traffic)::double precision
END
FROM finding g LEFT JOIN share USING (finding_id)
WHERE f.finding_id = g.finding_id;
