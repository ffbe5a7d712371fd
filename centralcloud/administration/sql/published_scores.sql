-- The published scores of a model, each with everything that is known of it. Served by primary keys.
SELECT
    s.model_name AS model,
    s.complexity_level AS complexity,
    s.score,
    s.rule,
    coalesce(h.kind, 'step') AS kind,
    s.reason,
    s.confidence,
    s.based_on_samples AS samples,
    h.success_rate,
    h.avg_response_time AS avg_response_time_ms,
    s.after_slice,
    s.evaluated_through_slice AS through_slice,
    s.window_start,
    s.mean,
    s.n_eff,
    s.draw_n,
    s.low,
    s.high,
    s.probe_share,
    s.latency_penalty,
    s.cost_penalty,
    (
        SELECT jsonb_object_agg(
            t.task_type,
            jsonb_build_object(
                'score', t.score, 'version', t.version, 'samples', t.based_on_samples, 'mean', t.mean, 'n_eff', t.n_eff,
                'draw_n', t.draw_n, 'probe_share', t.probe_share
            )
        )
        FROM public.model_task_scores t
        WHERE t.model_name = s.model_name AND t.complexity_level = s.complexity_level AND t.pair_version = s.version
    ) AS task_types
FROM public.model_scores s
LEFT JOIN public.model_score_history h USING (version)
WHERE s.model_name = %(model)s;
