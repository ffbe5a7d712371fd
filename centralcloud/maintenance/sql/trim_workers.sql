-- Forgets workers that were not seen for a day: they were killed, and others have been careful since. One row a worker.
DELETE FROM ingest_workers WHERE seen_at < now() - interval '1 day';
