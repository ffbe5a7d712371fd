-- The complexities of a model, each with the time when the model was retired. Served by the primary and unique keys.
SELECT
    complexity_level AS complexity,
    (SELECT retired_at FROM public.retired_models WHERE model_name = %(model)s) AS retired_at
FROM (
    SELECT complexity_level FROM public.model_routing_metrics WHERE model_name = %(model)s
    UNION SELECT complexity_level FROM public.model_scores WHERE model_name = %(model)s
) AS pair
ORDER BY array_position(ARRAY['simple', 'medium', 'complex'], complexity_level::text);
