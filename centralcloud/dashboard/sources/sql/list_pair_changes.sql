-- Published changes of one pair before a version, newest first. Served by idx_model_score_history_pair.
SELECT
    h.version, h.created_at AS at, h.model_name AS model, h.complexity_level AS complexity, h.old_score::double precision,
    h.new_score::double precision, h.rule, h.kind, h.reason, h.run_id,
    h.reason LIKE '%%the mean changed then%%' AND h.window_start > (
        SELECT p.window_start
        FROM public.model_score_history p
        WHERE p.model_name = h.model_name AND p.complexity_level = h.complexity_level AND p.version < h.version
          AND p.window_start IS NOT NULL
        ORDER BY p.version DESC
        LIMIT 1
    ) IS TRUE AS alarm
FROM public.model_score_history h
WHERE h.model_name = %(model)s AND h.complexity_level = %(complexity)s AND h.version < %(before)s
ORDER BY h.version DESC
LIMIT %(limit)s;
