-- The published score of each pair with its rule and version, and the score of every rule. One row for each pair that a rule
-- has scored.
SELECT
    r.model_name AS model,
    r.complexity_level AS complexity,
    min(s.score)::double precision AS published,
    min(s.rule) AS rule,
    min(s.version) AS version,
    json_object_agg(r.rule, r.score::double precision) AS scores
FROM public.rule_scores r
LEFT JOIN public.model_scores s USING (model_name, complexity_level)
WHERE NOT EXISTS (SELECT FROM public.retired_models t WHERE t.model_name = r.model_name)
GROUP BY r.model_name, r.complexity_level
ORDER BY r.model_name, array_position(ARRAY['simple', 'medium', 'complex'], r.complexity_level::text);
