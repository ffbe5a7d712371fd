-- The newest score of each pair by each rule, of models that are not retired. One row a pair and rule, by the primary keys.
SELECT r.rule, r.model_name AS model, r.complexity_level AS complexity, r.score::double precision AS score
FROM public.rule_scores r
WHERE NOT EXISTS (SELECT FROM public.retired_models t WHERE t.model_name = r.model_name);
