-- The partitions of routing_records as they are attached, in one row. Looks at catalogs only.
WITH bound AS (
    SELECT
        expression = 'DEFAULT' AS is_default,
        coalesce(substring(expression FROM $bound$FROM \('([^']+)'\)$bound$)::timestamptz, '-infinity') AS lower,
        coalesce(substring(expression FROM $bound$TO \('([^']+)'\)$bound$)::timestamptz, 'infinity') AS upper
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS expression
    WHERE i.inhparent = to_regclass('public.routing_records')
), week AS (
    SELECT
        ahead,
        since AT TIME ZONE 'UTC' AS since,
        (since + interval '1 week') AT TIME ZONE 'UTC' AS until,
        EXISTS (
            SELECT FROM bound
            WHERE is_default OR (lower <= since AT TIME ZONE 'UTC' AND upper >= (since + interval '1 week') AT TIME ZONE 'UTC')
        ) AS covered
    FROM generate_series(0, %(weeks)s::integer) AS ahead
    CROSS JOIN LATERAL (
        SELECT date_trunc('week', now() AT TIME ZONE 'UTC') + ahead * interval '1 week' AS since
    ) AS monday
)
SELECT
    (
        SELECT extract(epoch FROM max(until) - now()) / 604800 FROM week
        WHERE ahead < (SELECT coalesce(min(ahead), 2147483647) FROM week WHERE NOT covered)
    )::double precision AS weeks_ahead,
    ARRAY(
        SELECT to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM week
        WHERE NOT covered AND ahead < (SELECT max(ahead) FROM week WHERE covered)
        ORDER BY ahead
    ) AS gaps,
    ARRAY(
        -- Tables with the name of a partition from this week on that are not attached.
        SELECT c.relname::text
        FROM pg_class c
        WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND c.relname ~ '^routing_records_\d{4}w\d{2}(_\d+)?$'
          AND substring(c.relname FROM 17 FOR 7) >= to_char(now() AT TIME ZONE 'UTC', 'IYYY"w"IW')
          AND NOT EXISTS (
              SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent = to_regclass('public.routing_records')
          )
        ORDER BY c.relname
    ) AS unattached;
