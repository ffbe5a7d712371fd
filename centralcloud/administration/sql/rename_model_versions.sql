-- Where both models have a row, that of the new name stays. Served by the primary key.
WITH gone AS (
    DELETE FROM public.model_versions WHERE model_name = %(old)s RETURNING *
)
INSERT INTO public.model_versions (
    model_name, provider, instance_id, version, newest, run, run_after_slice, switches, switched_at, seen_at
)
SELECT %(new)s, provider, instance_id, version, newest, run, run_after_slice, switches, switched_at, seen_at FROM gone
ON CONFLICT DO NOTHING;
