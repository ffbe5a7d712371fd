-- Published scores, newest first. Served by the primary key, or by idx_model_score_history_pair for one model; the version before of
-- each pair by the latter. `kind` says what moved the score at this step: an alarm is that of the version with which a later window
-- begins, as on the dashboard's pages, and not of those after it.
SELECT
    h.version, h.created_at, h.model_name AS model, h.complexity_level AS complexity, h.old_score, h.new_score, h.rule,
    CASE WHEN raised.alarm THEN 'alarm' WHEN h.kind = 'alarm' THEN 'steady' ELSE h.kind END AS kind,
    h.reason, h.confidence, h.based_on_samples, h.success_rate, h.avg_response_time, h.mean, h.n_eff, h.draw_n, h.low, h.high,
    h.probe_share, h.latency_penalty, h.cost_penalty, h.window_start, h.after_slice, h.through_slice, h.run_id
FROM public.model_score_history h
CROSS JOIN LATERAL (
    SELECT h.reason LIKE '%%the mean changed then%%' AND h.window_start > (
        SELECT p.window_start
        FROM public.model_score_history p
        WHERE p.model_name = h.model_name AND p.complexity_level = h.complexity_level AND p.version < h.version
          AND p.window_start IS NOT NULL
        ORDER BY p.version DESC
        LIMIT 1
    ) IS TRUE AS alarm
) AS raised
WHERE (%(model)s::text IS NULL OR h.model_name = %(model)s)
  AND (%(complexity)s::text IS NULL OR h.complexity_level = %(complexity)s)
ORDER BY h.version DESC
LIMIT %(limit)s;
