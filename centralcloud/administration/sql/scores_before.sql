-- The scores of a model before a moment. Served by idx_model_score_history_pair.
SELECT DISTINCT ON (complexity_level)
    model_name AS model,
    complexity_level AS complexity,
    new_score AS score,
    kind,
    reason,
    confidence,
    based_on_samples AS samples,
    success_rate,
    avg_response_time AS avg_response_time_ms,
    after_slice,
    through_slice,
    window_start,
    mean,
    n_eff,
    draw_n,
    low,
    high,
    probe_share,
    latency_penalty,
    cost_penalty
FROM public.model_score_history
WHERE model_name = %(model)s AND created_at < %(moment)s
ORDER BY complexity_level, version DESC;
