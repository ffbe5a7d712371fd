-- Processes that ingest, running ones first. One row a process; those that were killed stay until maintenance removes them.
SELECT worker_id, host, process, batch_size, started_at, seen_at,
    seen_at > now() - %(worker_seconds)s * interval '1 second' AS is_running,
    seen_at <= now() - %(late_seconds)s * interval '1 second' AS is_late
FROM public.ingest_workers
ORDER BY is_running DESC, started_at DESC, worker_id DESC
LIMIT 100;
