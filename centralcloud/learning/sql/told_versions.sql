-- The changes of some models that providers told, oldest first; those that were undone, too. Served by idx_model_changes_model.
SELECT model_name AS model, version_before, version_after, instance_id
FROM public.model_changes
WHERE model_name = ANY (%(models)s::varchar[]) AND version_after IS NOT NULL
ORDER BY change_id;
