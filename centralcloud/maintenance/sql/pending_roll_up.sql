-- The time that must be rolled up; no row while there are no records. The newest rolled-up hour and the one before it are
-- rolled up again, because records may have been added since. Never starts before the oldest partition: the records of earlier
-- weeks were dropped by retention. Never starts after now, in case the clock was ahead. A partition without a lower bound begins
-- with the record of the smallest id, found by the primary key of each partition.
SELECT
    least(
        date_trunc('hour', now(), 'UTC'),
        greatest(
            date_trunc('hour', coalesce(partition.begins_at, oldest.created_at), 'UTC'),
            (SELECT max(window_start) - interval '1 hour' FROM public.model_performance WHERE window_start <= now())
        )
    ) AS since,
    date_trunc('hour', now(), 'UTC') + interval '1 hour' AS until
FROM (SELECT created_at FROM public.routing_records ORDER BY id LIMIT 1) AS oldest
CROSS JOIN (
    SELECT CASE WHEN bool_and(begins_at IS NOT NULL) THEN min(begins_at) END AS begins_at
    FROM (
        SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM $bound$FROM \('([^']+)'\)$bound$)::timestamptz AS begins_at
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.routing_records'::regclass
    ) AS each
) AS partition;
