-- Served by the primary key.
INSERT INTO public.model_versions AS v (
    model_name, provider, instance_id, version, newest, run, run_after_slice, switches, switched_at
) VALUES (
    %(model)s, %(provider)s, %(instance_id)s, %(version)s, %(newest)s, %(run)s, %(run_after_slice)s, %(switches)s, %(switched_at)s
)
ON CONFLICT (model_name, provider, instance_id) DO UPDATE SET
    version = excluded.version,
    newest = excluded.newest,
    run = excluded.run,
    run_after_slice = excluded.run_after_slice,
    switches = excluded.switches,
    switched_at = excluded.switched_at,
    seen_at = now();
