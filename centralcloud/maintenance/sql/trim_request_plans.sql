-- Deletes some old plans of requests. Served by the BRIN index on created_at.
DELETE FROM public.request_plans
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM public.request_plans WHERE created_at < %(as_of)s - %(retention)s::interval LIMIT %(limit)s
));
