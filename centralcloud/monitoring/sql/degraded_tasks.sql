-- The background tasks whose runs fail now, in any process. A process confirms this with each failed run, a few minutes apart
-- at most: one that was killed does not. Served by idx_findings_open.
SELECT
    details->>'task' AS task,
    details->>'host' AS host,
    details->>'reason' AS reason,
    extract(epoch FROM clock_timestamp() - opened_at)::double precision AS seconds
FROM public.findings
WHERE closed_at IS NULL AND kind = 'task_degraded' AND seen_at > now() - interval '10 minutes'
ORDER BY opened_at, finding_id;
