-- The score of each pair when a version was the newest; of a pair that had none then, the score that instances reported before its
-- first one. Version 0: all of these. Retired models are left out. Served by idx_model_score_history_pair and primary keys.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    CASE WHEN earlier.version IS NULL THEN coalesce(first.old_score, m.last_reported_score) ELSE earlier.new_score END::float8 AS score,
    earlier.version IS NOT NULL AS learned,
    earlier.mean, earlier.n_eff, earlier.draw_n, earlier.probe_share,
    NULL::jsonb AS task_types
FROM public.model_routing_metrics m
FULL JOIN public.model_scores s USING (model_name, complexity_level)
LEFT JOIN LATERAL (
    SELECT h.old_score FROM public.model_score_history h
    WHERE h.model_name = s.model_name AND h.complexity_level = s.complexity_level
    ORDER BY h.version LIMIT 1
) AS first ON true
LEFT JOIN LATERAL (
    SELECT h.version, h.new_score, h.mean, h.n_eff, h.draw_n, h.probe_share FROM public.model_score_history h
    WHERE h.model_name = s.model_name AND h.complexity_level = s.complexity_level AND h.version <= %(version)s
    ORDER BY h.version DESC LIMIT 1
) AS earlier ON true
WHERE (earlier.version IS NOT NULL OR coalesce(first.old_score, m.last_reported_score) IS NOT NULL)
  AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = coalesce(s.model_name, m.model_name))
ORDER BY model_name, complexity_level;
