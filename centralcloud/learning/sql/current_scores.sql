-- Every pair that was chosen or scored: its score now, and the pin, hold or retirement that an operator has set. One row a pair.
-- While more than a few pairs have fewer outcomes than the minimum, those of them are left out that have nothing else.
WITH small AS MATERIALIZED (
    SELECT count(*) > %(few)s AS are_left_out FROM (
        SELECT FROM public.model_routing_metrics m
        WHERE success_count + failure_count < %(min_outcomes)s
          AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = m.model_name)
        LIMIT %(few)s + 1
    ) AS pair
)
SELECT
    model_name AS model,
    complexity_level AS complexity,
    m.last_reported_score,
    s.score,
    s.version,
    s.mean,
    s.n_eff,
    s.probe_share,
    s.evaluated_through_slice AS through_slice,
    p.score AS pinned_score,
    h.after_slice AS held_after_slice,
    r.retired_at,
    coalesce(m.routed_count, 0) AS routed_count,
    coalesce(m.success_count + m.failure_count, 0) AS outcome_count,
    (
        SELECT jsonb_object_agg(
            t.task_type,
            jsonb_build_object(
                'score', t.score, 'version', t.version, 'mean', t.mean, 'n_eff', t.n_eff, 'draw_n', t.draw_n,
                'probe_share', t.probe_share
            )
        )
        FROM public.model_task_scores t
        WHERE t.model_name = s.model_name AND t.complexity_level = s.complexity_level AND t.pair_version = s.version
    ) AS published_task_types,
    s.draw_n
FROM public.model_routing_metrics m
FULL JOIN public.model_scores s USING (model_name, complexity_level)
FULL JOIN (SELECT * FROM public.score_pins WHERE expires_at IS NULL OR expires_at > now()) p USING (model_name, complexity_level)
LEFT JOIN public.score_holds h USING (model_name, complexity_level)
LEFT JOIN public.retired_models r USING (model_name)
WHERE NOT (SELECT are_left_out FROM small)
   OR m.success_count + m.failure_count >= %(min_outcomes)s
   OR num_nulls(s.version, p.score, h.after_slice, r.retired_at) < 4
   OR EXISTS (
       SELECT FROM public.rule_scores learned
       WHERE learned.model_name = m.model_name AND learned.complexity_level = m.complexity_level
   )
ORDER BY model_name, complexity_level;
