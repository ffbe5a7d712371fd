-- The posted health of registered models, as far as it still counts. One row a model: read as a whole.
SELECT model_id AS model, coalesce(body ->> 'status', 'unknown') AS status, reported_at, expires_at
FROM public.model_health
WHERE expires_at > now()
ORDER BY model_id
LIMIT 500;
