-- Stores that the experiments are looked after. After a silence it stores how long that was, and since when it is over, and
-- wakes the gateways: they treat no session until they have read of it. One row.
WITH before AS (
    SELECT seen_at FROM public.experiment_heartbeat
),
now AS (
    UPDATE public.experiment_heartbeat
    SET
        resumed_at = CASE WHEN seen_at < %(now)s - %(longest_silence)s::interval THEN %(now)s ELSE resumed_at END,
        silent_for = CASE WHEN seen_at < %(now)s - %(longest_silence)s::interval THEN %(now)s - seen_at ELSE silent_for END,
        seen_at = %(now)s
    RETURNING resumed_at, silent_for
)
SELECT now.resumed_at, now.silent_for
FROM now LEFT JOIN LATERAL (
    SELECT pg_notify('centralcloud_configuration', '')
    FROM before
    WHERE coalesce(before.seen_at < %(now)s - %(longest_silence)s::interval, true)
) AS told ON true;
