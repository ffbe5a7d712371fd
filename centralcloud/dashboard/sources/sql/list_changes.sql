-- Published changes before a version, newest first. Served by the primary key, backwards. Filters look at the newest 50,000
-- versions only, so that a rare kind does not read the whole history.
SELECT
    version, created_at AS at, model_name AS model, complexity_level AS complexity, old_score::double precision,
    new_score::double precision, rule, kind, reason, run_id
FROM public.model_score_history
WHERE version < %(before)s
  AND version >= %(before)s - 50000
  AND (%(model)s::text = '' OR strpos(lower(model_name), lower(%(model)s::text)) > 0)
  AND (%(complexity)s::text = '' OR complexity_level = %(complexity)s)
  AND (%(kind)s::text = '' OR kind = %(kind)s)
ORDER BY version DESC
LIMIT %(limit)s;
