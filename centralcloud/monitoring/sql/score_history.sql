-- Published scores, newest first. Served by the primary key, or by idx_model_score_history_pair for one model.
SELECT
    version, created_at, model_name AS model, complexity_level AS complexity, old_score, new_score, rule, kind, reason,
    confidence, based_on_samples, success_rate, avg_response_time, mean, n_eff, draw_n, low, high, probe_share, latency_penalty,
    cost_penalty, window_start, after_slice, through_slice, run_id
FROM public.model_score_history
WHERE (%(model)s::text IS NULL OR model_name = %(model)s)
  AND (%(complexity)s::text IS NULL OR complexity_level = %(complexity)s)
ORDER BY version DESC
LIMIT %(limit)s;
