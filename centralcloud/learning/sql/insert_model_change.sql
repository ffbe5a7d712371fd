INSERT INTO public.model_changes (
    model_name, complexity_level, after_slice, provider, instance_id, version_before, version_after, reason
) VALUES (
    %(model)s, %(complexity)s, %(after_slice)s, %(provider)s, %(instance_id)s, %(version_before)s, %(version_after)s, %(reason)s
)
RETURNING change_id;
