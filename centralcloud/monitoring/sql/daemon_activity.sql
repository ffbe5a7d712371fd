-- When daemons last showed that they work, in one row: workers of ingest once a minute, the learner with every run. A worker
-- that was killed keeps its row for a day. Reads small tables, and the newest run by its primary key.
SELECT
    (
        SELECT count(*) FROM public.ingest_workers
        WHERE abs(extract(epoch FROM now() - seen_at)) < %(worker_seconds)s  -- a later time is that of a clock that was ahead
    ) AS running_workers,
    newest.host AS last_worker_host,
    extract(epoch FROM clock_timestamp() - newest.seen_at)::double precision AS last_worker_seconds,
    (
        SELECT extract(epoch FROM clock_timestamp() - finished_at) FROM public.learning_runs ORDER BY run_id DESC LIMIT 1
    )::double precision AS last_run_seconds,
    (SELECT coalesce(frozen_reason, 'no reason given') FROM public.learning_control WHERE frozen_at IS NOT NULL) AS frozen_reason
FROM (SELECT) AS always
LEFT JOIN (SELECT host, seen_at FROM public.ingest_workers ORDER BY seen_at DESC LIMIT 1) AS newest ON true;
