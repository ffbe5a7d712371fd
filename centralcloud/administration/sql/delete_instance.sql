-- Served by the primary key.
DELETE FROM public.instances WHERE instance_id = %(instance_id)s RETURNING applied_version, last_seen_at::text;
