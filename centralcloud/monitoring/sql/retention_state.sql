-- Whether retention waits because the server's clock has jumped. One row.
SELECT
    jump_seconds,
    jumped_at,
    CASE WHEN steady_from > now() THEN steady_from END AS paused_until,
    extract(epoch FROM seen_at - now())::double precision AS seen_seconds_ahead
FROM (SELECT) AS always LEFT JOIN public.server_clock ON true;
