-- The newest score of each pair by each rule, of models that are not retired. One row a pair and rule, by the primary keys.
SELECT
    r.rule,
    r.model_name AS model,
    r.complexity_level AS complexity,
    r.score::double precision AS score,
    r.based_on_samples AS samples,
    r.success_rate,
    r.mean,
    r.low,
    r.high
FROM public.rule_scores r
WHERE NOT EXISTS (SELECT FROM public.retired_models t WHERE t.model_name = r.model_name)
ORDER BY r.rule, r.model_name, array_position(ARRAY['simple', 'medium', 'complex'], r.complexity_level::text);
