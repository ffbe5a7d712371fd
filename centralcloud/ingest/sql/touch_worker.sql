UPDATE public.ingest_workers SET seen_at = now() WHERE worker_id = %(worker_id)s;
