-- The newest version of the scores at a moment, 0 before the first one. Served by the BRIN index
-- idx_model_score_history_created_at.
SELECT coalesce(max(version), 0) AS version FROM public.model_score_history WHERE created_at <= %(at)s;
