-- Published changes of one pair before a version, newest first. Served by idx_model_score_history_pair.
SELECT
    version, created_at AS at, model_name AS model, complexity_level AS complexity, old_score::double precision,
    new_score::double precision, rule, kind, reason, run_id
FROM public.model_score_history
WHERE model_name = %(model)s AND complexity_level = %(complexity)s AND version < %(before)s
ORDER BY version DESC
LIMIT %(limit)s;
