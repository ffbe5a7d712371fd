-- Deletes workers that were not seen for a day: they were killed, and workers that started later have isolated their
-- messages; also those that were last seen while the server's clock was ahead. One that runs registers again. One row a worker.
DELETE FROM public.ingest_workers WHERE seen_at < %(as_of)s - interval '1 day' OR seen_at > now() + interval '1 day';
