-- The score of every pair when a version was the newest: its newest history up to that version; for a pair that came later, the
-- score that instances reported then. And whether there is such a version. Served by idx_model_score_history_pair.
SELECT
    pair.model_name AS model,
    pair.complexity_level AS complexity,
    CASE WHEN earlier.version IS NULL THEN first.old_score ELSE earlier.new_score END AS score,
    coalesce(earlier.kind, 'reported') AS kind,
    coalesce(earlier.reason, 'the score that instances reported before') AS reason,
    earlier.confidence,
    coalesce(earlier.based_on_samples, 0) AS samples,
    earlier.success_rate,
    earlier.avg_response_time AS avg_response_time_ms,
    coalesce(earlier.after_slice, first.after_slice) AS after_slice,
    coalesce(earlier.through_slice, first.after_slice) AS through_slice,
    earlier.window_start,
    earlier.mean,
    earlier.n_eff,
    earlier.draw_n,
    earlier.low,
    earlier.high,
    earlier.probe_share,
    earlier.latency_penalty,
    earlier.cost_penalty,
    EXISTS (SELECT FROM public.model_score_history WHERE version = %(version)s) AS is_version
FROM public.model_scores pair
CROSS JOIN LATERAL (
    SELECT * FROM public.model_score_history h
    WHERE h.model_name = pair.model_name AND h.complexity_level = pair.complexity_level
    ORDER BY h.version LIMIT 1
) AS first
LEFT JOIN LATERAL (
    SELECT * FROM public.model_score_history h
    WHERE h.model_name = pair.model_name AND h.complexity_level = pair.complexity_level AND h.version <= %(version)s
    ORDER BY h.version DESC LIMIT 1
) AS earlier ON true;
