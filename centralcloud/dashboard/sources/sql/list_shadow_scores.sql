-- The scores that each rule gives now to the pairs of a complexity, published or not. rule_scores has one row for each rule and pair: read
-- as a whole; model_scores by the primary key.
SELECT
    r.rule, r.model_name AS model, r.score::double precision AS score, r.low, r.high, r.based_on_samples AS samples,
    r.evaluated_at, coalesce(r.rule = s.rule, false) AS published
FROM public.rule_scores r
LEFT JOIN public.model_scores s USING (model_name, complexity_level)
WHERE r.complexity_level = %(complexity)s
ORDER BY r.rule, r.score DESC, r.model_name;
