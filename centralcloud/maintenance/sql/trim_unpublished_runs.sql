-- Runs that published nothing are of interest for a day, unless a rule's newest word on a pair is from one.
-- Served by the partial index idx_learning_runs_unpublished.
DELETE FROM learning_runs r
WHERE pairs_changed = 0
  AND finished_at < now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM model_scores s WHERE s.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM rule_scores s WHERE s.run_id = r.run_id);
