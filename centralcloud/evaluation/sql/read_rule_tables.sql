-- The score of each pair by each rule, published or in the shadow. Retired models are left out. Served by the primary key: one row a
-- rule and pair.
SELECT
    rule,
    model_name AS model,
    complexity_level AS complexity,
    score::float8 AS score,
    true AS learned,
    mean, n_eff, draw_n, probe_share,
    task_types
FROM public.rule_scores s
WHERE NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = s.model_name)
ORDER BY rule, model_name, complexity_level;
