-- Deletes workers that were not seen for a day: they were killed, and workers that started later have isolated their
-- messages. One row a worker.
DELETE FROM ingest_workers WHERE seen_at < %(as_of)s - interval '1 day';
