-- Processes that ingest, running ones first. One row a process; those that were killed stay until maintenance removes them. A
-- time that is much later than now is that of a clock that was ahead.
SELECT worker_id, host, process, batch_size, started_at, seen_at,
    abs(extract(epoch FROM now() - seen_at)) < %(worker_seconds)s AS is_running,
    seen_at <= now() - %(late_seconds)s * interval '1 second' AS is_late
FROM public.ingest_workers
ORDER BY is_running DESC, started_at DESC, worker_id DESC
LIMIT 100;
