-- Who is at work, or was killed at it. One row a worker process.
SELECT host, process, batch_size FROM ingest_workers;
