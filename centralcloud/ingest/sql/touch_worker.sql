-- The number alone may be that of another worker, in a database that was restored or replaced. Served by the primary key.
UPDATE public.ingest_workers SET seen_at = now() WHERE worker_id = %(worker_id)s AND host = %(host)s AND process = %(process)s;
