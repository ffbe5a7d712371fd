-- The oldest version of the history and its time; no row without one. Served by the primary key.
SELECT version, created_at AS at FROM public.model_score_history ORDER BY version LIMIT 1;
