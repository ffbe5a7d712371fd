-- Served by the primary key.
DELETE FROM public.ingest_workers WHERE worker_id = ANY (%(worker_ids)s::bigint[]);
