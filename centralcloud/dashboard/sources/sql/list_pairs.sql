-- The published score of each pair of a model that is not retired. One row a pair, by the primary keys.
SELECT
    s.model_name AS model,
    s.complexity_level AS complexity,
    s.score::double precision AS score,
    s.version,
    s.updated_at,
    s.rule,
    s.based_on_samples AS samples,
    s.mean,
    s.low,
    s.high,
    p.model_name IS NOT NULL AS pinned,
    p.expires_at AS pinned_until,
    h.model_name IS NOT NULL AS held
FROM public.model_scores s
LEFT JOIN public.score_pins p
    ON p.model_name = s.model_name AND p.complexity_level = s.complexity_level AND (p.expires_at IS NULL OR p.expires_at > now())
LEFT JOIN public.score_holds h ON h.model_name = s.model_name AND h.complexity_level = s.complexity_level
WHERE NOT EXISTS (SELECT FROM public.retired_models t WHERE t.model_name = s.model_name)
ORDER BY s.model_name, array_position(ARRAY['simple', 'medium', 'complex'], s.complexity_level::text);
