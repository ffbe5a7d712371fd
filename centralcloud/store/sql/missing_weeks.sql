-- The weeks from this one to some weeks from now that no attached partition of routing_records covers, by their Mondays (UTC).
-- Looks at catalogs only. A default partition takes the records of every week.
WITH bound AS (
    SELECT
        expression = 'DEFAULT' AS is_default,
        coalesce(
            substring(expression FROM $bound$FROM \('([^']+)'\)$bound$)::timestamptz, '-infinity'
        ) AS lower,
        coalesce(
            substring(expression FROM $bound$TO \('([^']+)'\)$bound$)::timestamptz, 'infinity'
        ) AS upper
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS expression
    WHERE i.inhparent = to_regclass('public.routing_records')
)
SELECT to_char(week.since AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS week
FROM generate_series(0, %(weeks_ahead)s::integer) AS ahead
CROSS JOIN LATERAL (
    SELECT
        (date_trunc('week', now() AT TIME ZONE 'UTC') + ahead * interval '1 week') AT TIME ZONE 'UTC' AS since,
        (date_trunc('week', now() AT TIME ZONE 'UTC') + (ahead + 1) * interval '1 week') AT TIME ZONE 'UTC' AS until
) AS week
WHERE NOT EXISTS (
    SELECT FROM bound WHERE is_default OR bound.lower <= week.since AND bound.upper >= week.until
)
ORDER BY week.since;
