-- Adds an experiment with scores of the learner; returns the new version of the configuration.
SELECT centralcloud.start_score_canary(%(experiment_id)s, %(body)s::jsonb, %(who)s, %(source)s, %(reason)s);
