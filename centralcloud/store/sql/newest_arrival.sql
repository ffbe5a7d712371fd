-- When the newest record arrived, by the server's clock at that time. Served by the primary key of each partition.
SELECT created_at FROM public.routing_records ORDER BY id DESC LIMIT 1;
