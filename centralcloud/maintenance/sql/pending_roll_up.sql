-- The time that must be rolled up; no row while there are no records. The newest rolled-up hour and the one before it are
-- rolled up again, because records may have been added since. Never starts before the oldest record: the records of earlier
-- hours were dropped by retention. Never starts after now, in case the clock was ahead. The oldest record is the one with
-- the smallest id, found by the primary key of each partition.
SELECT
    least(
        date_trunc('hour', now(), 'UTC'),
        greatest(
            date_trunc('hour', oldest.created_at, 'UTC'),
            (SELECT max(window_start) - interval '1 hour' FROM public.model_performance WHERE window_start <= now())
        )
    ) AS since,
    date_trunc('hour', now(), 'UTC') + interval '1 hour' AS until
FROM (SELECT created_at FROM public.routing_records ORDER BY id LIMIT 1) AS oldest;
