INSERT INTO public.ingest_workers (host, process, batch_size) VALUES (%(host)s, %(process)s, %(batch_size)s) RETURNING worker_id;
