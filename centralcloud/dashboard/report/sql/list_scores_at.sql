-- The score of each pair at a moment, and whether its model is retired now. Served by idx_model_score_history_pair.
SELECT DISTINCT ON (h.model_name, h.complexity_level)
    h.model_name AS model, h.complexity_level AS complexity, h.new_score::double precision AS score,
    r.model_name IS NOT NULL AS retired
FROM public.model_score_history h LEFT JOIN public.retired_models r USING (model_name)
WHERE h.created_at < %(at)s
ORDER BY h.model_name, h.complexity_level, h.version DESC;
