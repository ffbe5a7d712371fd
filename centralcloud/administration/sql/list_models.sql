-- Every model that was ever chosen or scored. One row a model; the tables have one row a pair.
SELECT
    model_name AS model,
    coalesce(
        array_agg(complexity_level ORDER BY array_position(ARRAY['simple', 'medium', 'complex'], complexity_level::text))
            FILTER (WHERE m.id IS NOT NULL),
        '{}'
    ) AS complexities,
    coalesce(sum(m.success_count + m.failure_count), 0)::bigint AS outcomes,
    sum(m.success_count)::double precision / nullif(sum(m.success_count + m.failure_count), 0) AS success_rate,
    coalesce(
        json_object_agg(
            complexity_level, s.score ORDER BY array_position(ARRAY['simple', 'medium', 'complex'], complexity_level::text)
        ) FILTER (WHERE s.score IS NOT NULL),
        '{}'
    ) AS scores,
    max(m.updated_at) AS last_seen_at,
    r.retired_at IS NOT NULL AS retired
FROM public.model_routing_metrics m
FULL JOIN public.model_scores s USING (model_name, complexity_level)
LEFT JOIN public.retired_models r USING (model_name)
GROUP BY model_name, r.retired_at
ORDER BY model_name;
