DELETE FROM ingest_workers WHERE worker_id = %(worker_id)s;
