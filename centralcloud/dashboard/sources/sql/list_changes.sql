-- Published changes before a version, newest first. Served by the primary key, backwards, and by idx_model_score_history_pair for
-- the version before of each pair. Filters look at the newest 50,000 versions only, so that a rare kind does not read the whole
-- history.
SELECT
    h.version, h.created_at AS at, h.model_name AS model, h.complexity_level AS complexity, h.old_score::double precision,
    h.new_score::double precision, h.rule, h.kind, h.reason, h.run_id, raised.alarm
FROM public.model_score_history h
CROSS JOIN LATERAL (
    -- A later window with a change at its start: the alarm was raised by this version.
    SELECT h.reason LIKE '%%the mean changed then%%' AND h.window_start > (
        SELECT p.window_start
        FROM public.model_score_history p
        WHERE p.model_name = h.model_name AND p.complexity_level = h.complexity_level AND p.version < h.version
          AND p.window_start IS NOT NULL
        ORDER BY p.version DESC
        LIMIT 1
    ) IS TRUE AS alarm
) AS raised
WHERE h.version < %(before)s
  AND h.version >= %(before)s - 50000
  AND (%(model)s::text = '' OR strpos(lower(h.model_name), lower(%(model)s::text)) > 0)
  AND (%(complexity)s::text = '' OR h.complexity_level = %(complexity)s)
  AND CASE %(kind)s::text
      WHEN '' THEN true
      WHEN 'alarm' THEN raised.alarm
      WHEN 'steady' THEN h.kind IN ('steady', 'alarm') AND NOT raised.alarm
      ELSE h.kind = %(kind)s
  END
ORDER BY h.version DESC
LIMIT %(limit)s;
