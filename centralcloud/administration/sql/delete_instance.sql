-- Served by the primary key; streams of versions by a scan of a table that has one row for each instance, model and provider.
WITH versions AS (DELETE FROM public.model_versions WHERE instance_id = %(instance_id)s)
DELETE FROM public.instances WHERE instance_id = %(instance_id)s RETURNING applied_version, last_seen_at::text;
