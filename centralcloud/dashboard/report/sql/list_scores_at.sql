-- The score of each pair at a moment. Served by idx_model_score_history_pair.
SELECT DISTINCT ON (model_name, complexity_level)
    model_name AS model, complexity_level AS complexity, new_score::double precision AS score
FROM public.model_score_history
WHERE created_at < %(at)s
ORDER BY model_name, complexity_level, version DESC;
