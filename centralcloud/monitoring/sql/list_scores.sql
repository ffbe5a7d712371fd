-- The published score of each pair. One row a pair.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    score::double precision AS score,
    version,
    updated_at,
    reason,
    rule,
    run_id,
    confidence,
    based_on_samples,
    evaluated_at
FROM public.model_scores
ORDER BY model_name, array_position(ARRAY['simple', 'medium', 'complex'], complexity_level::text);
