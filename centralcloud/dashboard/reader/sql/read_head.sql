-- The database's time, and the newest version of the scores. Served by model_scores_version_key.
SELECT clock_timestamp() AS now, coalesce(max(version), 0) AS version FROM public.model_scores;
