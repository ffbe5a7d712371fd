-- Who is at work, or was killed at it. One row a worker process.
SELECT worker_id, host, process, batch_size FROM ingest_workers;
