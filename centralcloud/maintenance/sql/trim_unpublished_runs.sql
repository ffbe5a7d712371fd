-- Deletes runs that published nothing after a day, except runs that the newest result of a rule comes from. Served by the
-- partial index idx_learning_runs_unpublished.
DELETE FROM public.learning_runs r
WHERE pairs_changed = 0
  AND finished_at < %(as_of)s - interval '1 day'
  AND NOT EXISTS (SELECT FROM public.model_scores s WHERE s.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM public.rule_scores s WHERE s.run_id = r.run_id);
