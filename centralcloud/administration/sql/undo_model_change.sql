-- Undoes the newest changes of a model that were told together, if rules still know them. Served by idx_model_changes_model.
UPDATE public.model_changes SET undone_at = clock_timestamp()
WHERE model_name = %(model)s AND undone_at IS NULL AND created_at = (
    SELECT max(created_at) FROM public.model_changes
    WHERE model_name = %(model)s AND undone_at IS NULL AND created_at > now() - interval '30 days'
)
RETURNING change_id, complexity_level AS complexity, version_before, version_after, created_at;
