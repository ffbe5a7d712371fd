-- Forgets scores that have been replaced long ago; never one that stands. Served by the BRIN index
-- idx_model_score_history_created_at.
DELETE FROM model_score_history h
WHERE created_at < now() - %(retention)s::interval
  AND NOT EXISTS (SELECT FROM model_scores s WHERE s.version = h.version);
