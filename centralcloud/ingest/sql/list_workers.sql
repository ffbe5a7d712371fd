-- One row for each worker process that is running, or was killed.
SELECT worker_id, host, process, batch_size FROM public.ingest_workers;
