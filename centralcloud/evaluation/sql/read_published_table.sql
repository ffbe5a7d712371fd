-- The score of each pair now, with those of its task types: published, or as instances reported it last. Retired models are left
-- out. Served by primary keys: one row a pair.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    coalesce(s.score, m.last_reported_score)::float8 AS score,
    s.version IS NOT NULL AS learned,
    s.mean, s.n_eff, s.draw_n, s.probe_share,
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
    ) AS task_types
FROM public.model_routing_metrics m
FULL JOIN public.model_scores s USING (model_name, complexity_level)
WHERE coalesce(s.score, m.last_reported_score) IS NOT NULL
  AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = coalesce(s.model_name, m.model_name))
ORDER BY model_name, complexity_level;
