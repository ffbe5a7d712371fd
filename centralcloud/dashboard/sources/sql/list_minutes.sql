-- The minutes of the last 24 hours, oldest first: at most 1,441 rows by the primary key.
SELECT
    minute, counted_seconds, ingested, successes, failures, queue_messages, queue_oldest_seconds, dead_letters, instances,
    instances_behind, cost_nano_usd
FROM public.fleet_minutes
WHERE minute > now() - interval '24 hours'
ORDER BY minute;
