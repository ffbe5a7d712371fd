-- The plan of a request. Served by the primary key.
SELECT created_at, plan::text AS plan FROM public.request_plans WHERE request_id = %(request_id)s;
