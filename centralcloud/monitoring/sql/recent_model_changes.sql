-- The newest change of each model that its provider told within 24 hours. Served by idx_model_changes_created_at.
SELECT DISTINCT ON (model_name)
    model_name AS model, provider, instance_id, version_before, version_after, created_at
FROM public.model_changes
WHERE created_at > now() - interval '24 hours' AND version_after IS NOT NULL AND undone_at IS NULL
  AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = model_changes.model_name)
ORDER BY model_name, change_id DESC;
