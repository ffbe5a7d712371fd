-- The server's time, and the clock as the daemons have seen it. One row.
SELECT clock_timestamp() AS now, seen_at, retention_as_of, jumped_at, jump_seconds, steady_from
FROM (SELECT) AS always LEFT JOIN public.server_clock ON true;
