-- Deletes some instances that were not seen for long, with the version that each acknowledged last; one that comes back is
-- registered again. Scans the table: one row an instance.
DELETE FROM public.instances
WHERE instance_id = ANY (ARRAY(
    SELECT instance_id FROM public.instances WHERE last_seen_at < %(as_of)s - %(retention)s::interval LIMIT %(limit)s
));
