-- The changes of models that were told within 30 days, oldest first: rules know the older ones. Served by
-- idx_model_changes_created_at.
SELECT
    change_id, model_name AS model, complexity_level AS complexity, after_slice, instance_id, version_before, version_after,
    undone_at IS NOT NULL AS undone
FROM public.model_changes
WHERE created_at > now() - interval '30 days'
ORDER BY change_id;
