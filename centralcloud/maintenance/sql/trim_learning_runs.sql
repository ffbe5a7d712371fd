-- Deletes old runs together with the history that refers to them, except runs that a current score or the newest result of a
-- rule comes from. Served by the BRIN index idx_learning_runs_finished_at.
DELETE FROM public.learning_runs r
WHERE finished_at < %(as_of)s - %(retention)s::interval
  AND NOT EXISTS (SELECT FROM public.model_scores s WHERE s.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM public.rule_scores s WHERE s.run_id = r.run_id);
