CREATE OR REPLACE FUNCTION centralcloud.current_spend(meters text[])
RETURNS TABLE (
    meter text, unit text, limit_amount bigint, spent bigint, estimated bigint, leased bigint, written_off bigint,
    period_start timestamptz, period_end timestamptz, alerted_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by primary keys, for each meter.
    SELECT m.meter, l.unit, l.limit_amount, coalesce(p.spent, 0), coalesce(p.estimated, 0), coalesce(p.leased, 0),
        coalesce(p.written_off, 0), l.period_start, l.period_end, a.at
    FROM unnest(meters) AS m (meter)
    CROSS JOIN LATERAL centralcloud.spend_limit(m.meter, now()) AS l
    LEFT JOIN public.spend_periods AS p ON p.meter = m.meter AND p.period_start = l.period_start
    LEFT JOIN public.spend_alerts AS a ON a.meter = m.meter AND a.period_start = l.period_start
    WHERE l.unit IS NOT NULL
$$;
COMMENT ON FUNCTION centralcloud.current_spend IS
    'the limit of each meter and what is used of it in the period of now; a meter without a limit has no row';
