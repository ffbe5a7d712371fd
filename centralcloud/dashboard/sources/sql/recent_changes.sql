-- Published changes of the last 24 hours, oldest first: the newest 5,000. Served by the primary key, backwards.
SELECT version, created_at AS at, model_name AS model, complexity_level AS complexity, old_score, new_score
FROM (
    SELECT version, created_at, model_name, complexity_level, old_score::double precision, new_score::double precision
    FROM public.model_score_history
    ORDER BY version DESC
    LIMIT 5000
) AS newest
WHERE created_at > now() - interval '24 hours'
ORDER BY version;
