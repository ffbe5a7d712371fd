-- Deletes workers that were not seen for a day: they were killed, and workers that started later have isolated their
-- messages. One row a worker.
DELETE FROM public.ingest_workers WHERE seen_at < now() - interval '1 day';
