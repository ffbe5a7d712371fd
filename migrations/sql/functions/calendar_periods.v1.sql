CREATE OR REPLACE FUNCTION centralcloud.calendar_periods(period text, zone text, since timestamptz, until timestamptz)
RETURNS TABLE (period_start timestamptz, period_end timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF period IS NULL THEN
        RETURN QUERY SELECT since, until;
        RETURN;
    END IF;
    period_end := since;
    LOOP
        SELECT p.period_start, p.period_end INTO period_start, period_end
        FROM centralcloud.calendar_period(period, zone, period_end) AS p;
        RETURN NEXT;
        EXIT WHEN period_end >= until;
    END LOOP;
END
$$;
COMMENT ON FUNCTION centralcloud.calendar_periods IS
    'the days, weeks or months from the one that a moment is in, as calendar_period has them; without a period, the whole time';
