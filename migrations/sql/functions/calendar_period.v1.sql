CREATE OR REPLACE FUNCTION centralcloud.calendar_period(
    period text, zone text, at timestamptz, OUT period_start timestamptz, OUT period_end timestamptz
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit constant text := CASE period WHEN 'daily' THEN 'day' WHEN 'weekly' THEN 'week' WHEN 'monthly' THEN 'month' END;
    step constant interval := '1 ' || unit;
    local_start timestamp;
BEGIN
    IF unit IS NULL THEN
        RAISE EXCEPTION 'period: found %, expected daily, weekly or monthly', quote_nullable(left(period, 80))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    BEGIN
        local_start := date_trunc(unit, at AT TIME ZONE zone);
    EXCEPTION WHEN invalid_parameter_value THEN
        zone := 'UTC';  -- the server's list of zones may be older than the one that the configuration was checked with
        local_start := date_trunc(unit, at AT TIME ZONE zone);
    END;
    period_start := local_start AT TIME ZONE zone;
    -- Where clocks go back at midnight there are two midnights in a night, and AT TIME ZONE means the second one.
    IF period_start > at THEN
        local_start := local_start - step;
        period_start := local_start AT TIME ZONE zone;
    END IF;
    period_end := (local_start + step) AT TIME ZONE zone;
    -- A zone may leave out a whole day, as Pacific/Apia did on 30 December 2011: its midnight is that of the next one.
    IF period_end <= at OR period_end <= period_start THEN
        period_end := (local_start + 2 * step) AT TIME ZONE zone;
    END IF;
END
$$;
COMMENT ON FUNCTION centralcloud.calendar_period IS
    'the day, week (from Monday on) or month that a moment is in, in a time zone: from its first midnight to the next one, whatever clocks do in between. A zone that the server does not know counts as UTC';
