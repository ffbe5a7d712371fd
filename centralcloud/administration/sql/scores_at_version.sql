-- What every pair stood at when a version was the newest: its newest history up to that version; for one that came later, the
-- score that instances reported when it came. Whether there is such a version. Served by idx_model_score_history_pair.
SELECT
    pair.model_name AS model,
    pair.complexity_level AS complexity,
    CASE WHEN stood.version IS NULL THEN first.old_score ELSE stood.new_score END AS score,
    coalesce(stood.kind, 'reported') AS kind,
    coalesce(stood.reason, 'the score that instances reported before') AS reason,
    stood.confidence,
    coalesce(stood.based_on_samples, 0) AS samples,
    stood.success_rate,
    stood.avg_response_time AS avg_response_time_ms,
    coalesce(stood.after_slice, first.after_slice) AS after_slice,
    coalesce(stood.through_slice, first.after_slice) AS through_slice,
    stood.window_start,
    stood.mean,
    stood.n_eff,
    stood.low,
    stood.high,
    stood.probe_share,
    stood.latency_penalty,
    stood.cost_penalty,
    EXISTS (SELECT FROM model_score_history WHERE version = %(version)s) AS is_version
FROM model_scores pair
CROSS JOIN LATERAL (
    SELECT * FROM model_score_history h
    WHERE h.model_name = pair.model_name AND h.complexity_level = pair.complexity_level
    ORDER BY h.version LIMIT 1
) AS first
LEFT JOIN LATERAL (
    SELECT * FROM model_score_history h
    WHERE h.model_name = pair.model_name AND h.complexity_level = pair.complexity_level AND h.version <= %(version)s
    ORDER BY h.version DESC LIMIT 1
) AS stood ON true;
