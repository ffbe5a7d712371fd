CREATE OR REPLACE FUNCTION centralcloud.spend_limit(
    meter text, at timestamptz,
    OUT unit text, OUT limit_amount bigint, OUT threshold double precision,
    OUT period_start timestamptz, OUT period_end timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- Every read of the configuration is served by its primary key.
#variable_conflict use_variable
DECLARE
    sort constant text := split_part(meter, '/', 1);
    entry_id constant text := substr(meter, length(sort) + 2);
    body jsonb;
    amount numeric;
    period text;
    milliseconds bigint;
BEGIN
    IF sort IN ('requests', 'tokens') THEN
        SELECT e.body -> 'rateLimit' INTO body FROM public.configuration_entries AS e WHERE e.kind = 'key' AND e.id = entry_id;
        limit_amount := (body ->> sort)::bigint;
        milliseconds := (body ->> 'windowMs')::bigint;
        IF limit_amount IS NOT NULL AND milliseconds > 0 THEN
            unit := sort;
            -- Windows follow each other from 1970 on: the same for every gateway, without a row for the first request.
            period_start := to_timestamp(
                floor(extract(epoch FROM at) * 1000 / milliseconds) * milliseconds / 1000.0
            );
            period_end := period_start + make_interval(secs => milliseconds / 1000.0);
        END IF;
        RETURN;
    END IF;
    IF sort NOT IN ('budget', 'overdraft') THEN
        RETURN;
    END IF;
    SELECT e.body INTO body FROM public.configuration_entries AS e WHERE e.kind = 'budget' AND e.id = entry_id;
    IF body IS NOT NULL THEN
        IF coalesce((body ->> 'enabled')::boolean, true) THEN
            amount := (body ->> 'limit')::numeric;
            period := body ->> 'period';
        END IF;
    ELSE
        -- A limit of a workspace is a budget with the id workspace:ID:PERIOD; an id may have colons.
        period := substring(entry_id FROM '^workspace:.+:(daily|weekly|monthly)$');
        IF period IS NOT NULL THEN
            SELECT e.body INTO body FROM public.configuration_entries AS e
            WHERE e.kind = 'workspace' AND e.id = substring(entry_id FROM '^workspace:(.+):[a-z]+$');
            amount := (body -> 'budgetLimits' ->> period)::numeric;
        END IF;
    END IF;
    IF amount IS NULL OR period NOT IN ('daily', 'weekly', 'monthly') THEN
        RETURN;
    END IF;
    limit_amount := round(amount * 1000000000);
    IF sort = 'overdraft' THEN
        IF body ->> 'onLimit' IS DISTINCT FROM 'cheap' THEN
            limit_amount := NULL;
            RETURN;
        END IF;
        limit_amount := trunc(limit_amount * coalesce((body ->> 'overdraft')::numeric, 0.1));
    ELSE
        threshold := coalesce((body ->> 'alertThreshold')::double precision, 0.8);
    END IF;
    unit := 'nano_usd';
    SELECT p.period_start, p.period_end INTO period_start, period_end
    FROM centralcloud.calendar_period(period, coalesce(body ->> 'timezone', 'UTC'), at) AS p;
END
$$;
COMMENT ON FUNCTION centralcloud.spend_limit IS
    'the limit behind a meter as the configuration has it now, and its period at a moment; nulls: no limit';
