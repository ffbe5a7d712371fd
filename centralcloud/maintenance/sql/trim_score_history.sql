-- Deletes scores that were replaced long ago, never a current one. Served by the BRIN index
-- idx_model_score_history_created_at.
DELETE FROM public.model_score_history h
WHERE created_at < %(as_of)s - %(retention)s::interval
  AND NOT EXISTS (SELECT FROM public.model_scores s WHERE s.version = h.version);
