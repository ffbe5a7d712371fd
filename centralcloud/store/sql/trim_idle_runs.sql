-- Runs that found nothing to evaluate are of interest for a day. Served by the partial index idx_learning_runs_idle.
DELETE FROM learning_runs WHERE pairs_evaluated = 0 AND finished_at < now() - interval '1 day';
