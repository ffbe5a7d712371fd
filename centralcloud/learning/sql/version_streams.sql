-- The streams of some models, and of all their providers. Served by the primary key.
SELECT model_name AS model, provider, instance_id, version, newest, run, run_after_slice, switches, switched_at
FROM public.model_versions WHERE model_name = ANY (%(models)s::varchar[]);
