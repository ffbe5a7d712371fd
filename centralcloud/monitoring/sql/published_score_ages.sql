-- The published score of each pair and its age. One row a pair.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    score::double precision AS score,
    extract(epoch FROM clock_timestamp() - updated_at)::double precision AS age_seconds
FROM public.model_scores
ORDER BY model_name, complexity_level;
