-- The published score of each pair, its age, and the pair's decisions in its lifetime. One row a pair.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    s.score::double precision AS score,
    extract(epoch FROM clock_timestamp() - s.updated_at)::double precision AS age_seconds,
    coalesce(m.usage_count, 0) AS decisions
FROM public.model_scores s
LEFT JOIN public.model_routing_metrics m USING (model_name, complexity_level)
ORDER BY model_name, complexity_level;
