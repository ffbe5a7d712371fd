-- Whether the newest record arrived in an hour that is not rolled up yet. Reads it and the newest rolled-up hour by primary keys, so
-- that it may run every minute. A record of an hour that has not begun yet, in case the clock was ahead, is not missing: a roll-up
-- ends with the hour of now, and would be repeated every minute.
SELECT EXISTS (
    SELECT FROM (
        SELECT date_trunc('hour', created_at, 'UTC') AS begins_at FROM public.routing_records ORDER BY id DESC LIMIT 1
    ) AS newest
    WHERE newest.begins_at <= now()
      AND newest.begins_at
        > coalesce((SELECT max(window_start) FROM public.model_performance WHERE window_start <= now()), '-infinity')
);
