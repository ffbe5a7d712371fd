-- The newest version that an operator has published after a version, of a pair or (null) of any; 0 without one. Served by the primary
-- key, or by idx_model_score_history_pair: a form is an hour old at most.
SELECT coalesce(max(version), 0)::bigint
FROM public.model_score_history
WHERE version > %(version)s
  AND kind IN ('pin', 'rollback', 'experiment')
  AND (%(model)s::text IS NULL OR (model_name = %(model)s AND complexity_level = %(complexity)s));
