CREATE OR REPLACE FUNCTION centralcloud.open_spend_period(meter text, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    found record;
    carried bigint;
BEGIN
    SELECT * INTO found FROM centralcloud.spend_limit(open_spend_period.meter, open_spend_period.at);
    IF found.unit IS NULL THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM public.spend_periods AS p
        WHERE p.meter = open_spend_period.meter AND p.period_start = found.period_start
    ) THEN
        RETURN found.period_start;
    END IF;
    -- After a change of the time zone or to a longer period, spend of periods that overlap this one counts in it, too. A day is
    -- 23 to 25 hours, a month 28 to 31 days: within a fifth is as long. A shorter period begins empty.
    SELECT coalesce(sum(p.spent + p.written_off + p.leased), 0) INTO carried
    FROM public.spend_periods AS p
    WHERE p.meter = open_spend_period.meter AND p.unit = 'nano_usd'
        AND p.period_start < found.period_end AND p.period_end > found.period_start
        AND p.period_end - p.period_start <= 1.2 * (found.period_end - found.period_start);
    INSERT INTO public.spend_periods (meter, period_start, period_end, unit, limit_amount, spent)
    VALUES (
        open_spend_period.meter, found.period_start, found.period_end, found.unit, found.limit_amount, carried
    )
    ON CONFLICT DO NOTHING;
    -- Served by the index on period_end. Budgets of a year and a month are kept; windows of rates as long as calls may take.
    DELETE FROM public.spend_periods AS p
    USING (
        SELECT ended.meter, ended.period_start FROM public.spend_periods AS ended
        WHERE ended.period_end < now() - interval '20 minutes'
            AND (ended.unit <> 'nano_usd' OR ended.period_end < now() - interval '400 days')
            AND (ended.unit <> 'nano_usd' OR ended.leased = 0)
        ORDER BY ended.period_end LIMIT 500 FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE p.meter = old.meter AND p.period_start = old.period_start;
    DELETE FROM public.spend_alerts WHERE period_end < now() - interval '400 days';
    DELETE FROM public.spend_holders AS h
    WHERE h.expires_at < now() - interval '1 day'
        AND NOT EXISTS (SELECT FROM public.spend_leases AS l WHERE l.holder = h.holder AND l.amount > 0);
    RETURN found.period_start;
END
$$;
COMMENT ON FUNCTION centralcloud.open_spend_period IS
    'begins the period of a meter that a moment is in, where it has not begun, with the limit of the configuration; returns its start, null where the meter has no limit. Used by exchange_spend';
