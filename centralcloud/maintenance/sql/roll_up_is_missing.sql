-- Whether records have arrived in an hour that is not rolled up yet. Reads the newest record and the newest rolled-up hour by
-- primary keys, so that it may run every minute. Times after now count as now, in case the clock was ahead.
SELECT EXISTS (
    SELECT FROM (SELECT created_at FROM public.routing_records ORDER BY id DESC LIMIT 1) AS newest
    WHERE date_trunc('hour', least(newest.created_at, now()), 'UTC')
        > coalesce((SELECT max(window_start) FROM public.model_performance WHERE window_start <= now()), '-infinity')
);
