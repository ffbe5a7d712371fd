-- Every published score and its age. The table has one row a pair.
SELECT
    model_name,
    complexity_level,
    score::double precision,
    extract(epoch FROM clock_timestamp() - updated_at)::double precision
FROM model_scores
ORDER BY model_name, complexity_level;
