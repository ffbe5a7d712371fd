-- The id of the newest record; no row without any. Served by the primary key of each partition.
SELECT id FROM public.routing_records ORDER BY id DESC LIMIT 1;
