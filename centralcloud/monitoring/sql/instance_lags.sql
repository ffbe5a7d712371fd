-- Instances that were seen within a day, and how many versions each is behind. One row an instance.
SELECT
    instance_id,
    applied_version,
    greatest(0, (SELECT coalesce(max(version), 0) FROM public.model_scores) - applied_version) AS version_lag,
    extract(epoch FROM clock_timestamp() - last_seen_at)::double precision AS seconds_since_seen
FROM public.instances
WHERE last_seen_at > now() - interval '1 day'
ORDER BY instance_id;
