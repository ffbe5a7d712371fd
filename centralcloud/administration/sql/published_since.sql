-- The scores of some pairs that were published after a version: the first one by version. Served by the primary key.
SELECT s.model_name AS model, s.complexity_level AS complexity, s.rule AS source, s.version
FROM unnest(%(models)s::text[], %(complexities)s::text[]) AS pair (model, complexity)
JOIN public.model_scores s ON s.model_name = pair.model AND s.complexity_level = pair.complexity
WHERE s.version > %(after)s
ORDER BY s.version
LIMIT 1;
