-- Deletes workers of this host. The number alone may be that of another worker, in a database that was restored or replaced.
-- Served by the primary key.
DELETE FROM public.ingest_workers
USING unnest(%(worker_ids)s::bigint[], %(processes)s::text[]) AS worker (id, name)
WHERE worker_id = worker.id AND process = worker.name AND host = %(host)s;
