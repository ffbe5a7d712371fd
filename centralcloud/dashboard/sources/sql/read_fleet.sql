-- The fleet in numbers, in one row. Small tables completely, the newest rows of large ones by their primary keys; the open dead
-- letters in their table, which no index serves: it holds no more than their retention.
WITH newest AS (
    SELECT coalesce(max(version), 0) AS version FROM public.model_scores
), settled AS (
    -- The newest version that every instance has had time to apply.
    SELECT coalesce(max(version), 0) AS version FROM public.model_scores WHERE updated_at < now() - interval '15 seconds'
), live AS (
    SELECT instance_id, applied_version, last_seen_at FROM public.instances WHERE last_seen_at > now() - interval '1 day'
), behind AS (
    SELECT live.instance_id, live.applied_version FROM live, settled WHERE live.applied_version < settled.version
), letters AS (
    SELECT field, count(*) AS number, count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS new
    FROM public.dead_letters WHERE resolution IS NULL GROUP BY field
)
SELECT
    newest.version,
    (SELECT count(*) FROM live)::integer AS instances,
    (SELECT count(*) FROM behind)::integer AS behind,
    (SELECT instance_id FROM behind ORDER BY applied_version, instance_id LIMIT 1) AS furthest_behind,
    newest.version - (SELECT min(applied_version) FROM behind) AS versions_behind,
    (
        SELECT count(*) FROM public.ingest_workers
        WHERE abs(extract(epoch FROM now() - seen_at)) < %(worker_seconds)s  -- a later time is that of a clock that was ahead
    )::integer AS workers,
    (SELECT max(seen_at) FROM public.ingest_workers) AS worker_seen_at,
    (SELECT coalesce(sum(number), 0) FROM letters)::bigint AS dead_letters,
    (SELECT coalesce(sum(new), 0) FROM letters)::bigint AS new_dead_letters,
    (SELECT field FROM letters ORDER BY number DESC, field LIMIT 1) AS dead_letter_field,
    (SELECT taken FROM public.accounting) AS ingested,
    (SELECT finished_at FROM public.learning_runs ORDER BY run_id DESC LIMIT 1) AS last_run_at
FROM newest;
