CREATE OR REPLACE FUNCTION centralcloud.exchange_spend(instance text, process text, number bigint, report jsonb)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most constant integer := 5000;
    most_amount constant bigint := 1000000000000000000;
    -- Gateways in turn take a part of what is free: the last one finds something, too, and a killed one held little.
    parts constant integer := 4;
    own text[] := centralcloud.own_instances();
    me constant text := exchange_spend.instance || '/' || exchange_spend.process;
    seconds constant double precision := (exchange_spend.report ->> 'lease_seconds')::double precision;
    moment timestamptz;
    known record;
    item record;
    ask record;
    period public.spend_periods;
    lease public.spend_leases;
    used bigint;
    held bigint;
    dead bigint;
    holders integer;
    share double precision;
    name text;
    wanted text[];
    -- For each wanted meter, at the same position. A start of null: no limit.
    starts timestamptz[] := '{}';
    free bigint[] := '{}';
    granted bigint[] := '{}';
    sharers integer[] := '{}';
    denied boolean[] := '{}';
    i integer;
    is_possible boolean;
    alerts jsonb := '[]';
    grants jsonb := '[]';
    reply jsonb;
BEGIN
    IF (length(exchange_spend.instance) BETWEEN 1 AND 200) IS NOT TRUE
        OR (length(exchange_spend.process) BETWEEN 1 AND 80) IS NOT TRUE
        OR (exchange_spend.number > 0) IS NOT TRUE
        OR (seconds BETWEEN 1 AND 3600) IS NOT TRUE
        OR jsonb_typeof(exchange_spend.report -> 'accounts') IS DISTINCT FROM 'array'
        OR jsonb_typeof(exchange_spend.report -> 'asks') IS DISTINCT FROM 'array'
        OR jsonb_typeof(exchange_spend.report -> 'wants') IS DISTINCT FROM 'object'
    THEN
        RAISE EXCEPTION 'expected an instance, a process, a number from 1 on, and a report with lease_seconds (1 to 3600), accounts, asks and wants'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF own IS NOT NULL AND NOT exchange_spend.instance = ANY (own) THEN
        PERFORM centralcloud.refuse_instance('instance', exchange_spend.instance, own);
    END IF;

    -- One exchange of a process after the other; one that is sent again gets the answer that it has missed.
    INSERT INTO public.spend_holders AS h (holder, number, expires_at)
    VALUES (me, 0, clock_timestamp() + make_interval(secs => seconds))
    ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at
    RETURNING h.number, h.answer INTO known;
    IF known.number = exchange_spend.number AND known.answer IS NOT NULL THEN
        RETURN known.answer;
    ELSIF known.number > exchange_spend.number THEN
        RAISE EXCEPTION 'number: found %, expected at least % of this process', exchange_spend.number, known.number
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT array_agg(meters.meter ORDER BY meters.meter COLLATE "C") INTO wanted
    FROM (
        SELECT jsonb_object_keys(exchange_spend.report -> 'wants') AS meter
        UNION SELECT jsonb_object_keys(a.value) FROM jsonb_array_elements(exchange_spend.report -> 'asks') AS a
    ) AS meters;
    wanted := coalesce(wanted, '{}');
    IF cardinality(wanted) + jsonb_array_length(exchange_spend.report -> 'accounts') > most
        OR EXISTS (
            SELECT FROM jsonb_array_elements(exchange_spend.report -> 'asks') AS a, jsonb_each_text(a) AS n
            WHERE (n.value::numeric BETWEEN 0 AND most_amount) IS NOT TRUE
        )
        OR EXISTS (
            SELECT FROM jsonb_each_text(exchange_spend.report -> 'wants') AS n
            WHERE (n.value::numeric BETWEEN 0 AND most_amount) IS NOT TRUE
        )
        OR EXISTS (
            SELECT FROM jsonb_to_recordset(exchange_spend.report -> 'accounts')
                AS a (meter text, period_start timestamptz, spent numeric, estimated numeric, returned numeric)
            WHERE (a.spent BETWEEN 0 AND most_amount AND a.estimated BETWEEN 0 AND a.spent
                AND a.returned BETWEEN 0 AND most_amount AND a.period_start IS NOT NULL) IS NOT TRUE
        )
    THEN
        RAISE EXCEPTION 'report: expected at most % meters, and amounts from 0 to 1e18', most
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    moment := clock_timestamp();
    FOREACH name IN ARRAY wanted LOOP
        starts := starts || centralcloud.open_spend_period(name, moment);
    END LOOP;
    -- Every exchange locks in this order, after it has begun its periods: no two wait for each other.
    PERFORM FROM public.spend_periods AS p
    JOIN (
        SELECT w.meter, w.period_start FROM unnest(wanted, starts) AS w (meter, period_start)
        UNION SELECT a.meter, a.period_start
        FROM jsonb_to_recordset(exchange_spend.report -> 'accounts') AS a (meter text, period_start timestamptz)
    ) AS used ON p.meter = used.meter AND p.period_start = used.period_start
    ORDER BY p.meter COLLATE "C", p.period_start
    FOR UPDATE OF p;

    -- 1. Spend and returns. Spend counts in the period in which it was reserved, however late it comes, and
    -- as it was, even beyond the lease: calls may cost more than their worst case.
    FOR item IN
        SELECT a.meter, a.period_start, sum(a.spent)::bigint AS spent, sum(a.estimated)::bigint AS estimated,
            sum(a.returned)::bigint AS returned
        FROM jsonb_to_recordset(exchange_spend.report -> 'accounts')
            AS a (meter text, period_start timestamptz, spent bigint, estimated bigint, returned bigint)
        GROUP BY a.meter, a.period_start ORDER BY a.meter COLLATE "C", a.period_start
    LOOP
        SELECT l.* INTO lease FROM public.spend_leases AS l
        WHERE l.meter = item.meter AND l.period_start = item.period_start AND l.holder = me;
        held := coalesce(lease.amount, 0);
        used := least(held, item.spent + item.returned);
        UPDATE public.spend_periods AS p SET
            spent = p.spent + item.spent,
            estimated = p.estimated + item.estimated,
            leased = p.leased - used + CASE WHEN lease.is_written_off THEN held ELSE 0 END,
            written_off = p.written_off - CASE WHEN lease.is_written_off THEN held ELSE 0 END
        WHERE p.meter = item.meter AND p.period_start = item.period_start;
        UPDATE public.spend_leases AS l SET amount = l.amount - used, is_written_off = false
        WHERE l.meter = item.meter AND l.period_start = item.period_start AND l.holder = me;
    END LOOP;

    -- 2. The free part of each wanted meter. Leases of processes that have not answered in time are written off.
    FOR i IN 1 .. cardinality(wanted) LOOP
        granted := granted || 0::bigint;
        denied := denied || false;
        IF starts[i] IS NULL THEN
            free := free || NULL::bigint;
            sharers := sharers || 1;
            CONTINUE;
        END IF;
        INSERT INTO public.spend_leases AS l (meter, period_start, holder, amount, used_at)
        VALUES (wanted[i], starts[i], me, 0, moment)
        ON CONFLICT (meter, period_start, holder) DO UPDATE SET used_at = excluded.used_at;
        WITH lost AS (
            UPDATE public.spend_leases AS l SET is_written_off = true
            FROM public.spend_holders AS h
            WHERE l.meter = wanted[i] AND l.period_start = starts[i] AND NOT l.is_written_off
                AND l.amount > 0 AND h.holder = l.holder AND h.expires_at < moment
            RETURNING l.amount
        )
        SELECT coalesce(sum(lost.amount), 0) INTO dead FROM lost;
        SELECT count(*) INTO holders
        FROM public.spend_leases AS l JOIN public.spend_holders AS h USING (holder)
        WHERE l.meter = wanted[i] AND l.period_start = starts[i] AND h.expires_at >= moment
            AND (l.amount > 0 OR l.used_at > moment - interval '10 seconds');
        UPDATE public.spend_periods AS p SET
            leased = p.leased - dead, written_off = p.written_off + dead, limit_amount = coalesce(now_valid.limit_amount, 0)
        FROM centralcloud.spend_limit(wanted[i], moment) AS now_valid
        WHERE p.meter = wanted[i] AND p.period_start = starts[i]
        RETURNING p.* INTO period;
        free := free || greatest(0, period.limit_amount - period.spent - period.written_off - period.leased);
        sharers := sharers || greatest(1, holders);
    END LOOP;

    -- 3. The needs of requests that wait: each gets all of its meters, or none.
    FOR ask IN SELECT a.value AS needs FROM jsonb_array_elements(exchange_spend.report -> 'asks') WITH ORDINALITY AS a ORDER BY ordinality
    LOOP
        SELECT bool_and(free[m.place] IS NULL OR n.value::bigint <= free[m.place] - granted[m.place]) INTO is_possible
        FROM jsonb_each_text(ask.needs) AS n CROSS JOIN LATERAL (SELECT array_position(wanted, n.key) AS place) AS m;
        FOR item IN SELECT array_position(wanted, n.key) AS place, n.value::bigint AS need FROM jsonb_each_text(ask.needs) AS n LOOP
            IF free[item.place] IS NULL THEN
                CONTINUE;
            ELSIF is_possible THEN
                granted[item.place] := granted[item.place] + item.need;
            ELSIF item.need > free[item.place] - granted[item.place] THEN
                denied[item.place] := true;
            END IF;
        END LOOP;
    END LOOP;

    -- 4. On top a slice, so that the next requests need no exchange.
    FOR i IN 1 .. cardinality(wanted) LOOP
        IF free[i] IS NULL THEN
            grants := grants || jsonb_build_object('meter', wanted[i], 'unlimited', true);
            CONTINUE;
        END IF;
        IF NOT denied[i] THEN
            granted[i] := greatest(granted[i], least(
                coalesce((exchange_spend.report -> 'wants' ->> wanted[i])::bigint, 0),
                free[i] / (parts * sharers[i])
            ));
        END IF;
        UPDATE public.spend_leases AS l SET amount = l.amount + granted[i]
        WHERE l.meter = wanted[i] AND l.period_start = starts[i] AND l.holder = me AND NOT l.is_written_off
        RETURNING l.* INTO lease;
        IF NOT FOUND THEN  -- it was written off while this process was away: it has it again
            UPDATE public.spend_leases AS l SET amount = l.amount + granted[i], is_written_off = false
            WHERE l.meter = wanted[i] AND l.period_start = starts[i] AND l.holder = me
            RETURNING l.* INTO lease;
            UPDATE public.spend_periods AS p SET
                leased = p.leased + lease.amount - granted[i],
                written_off = p.written_off - lease.amount + granted[i]
            WHERE p.meter = wanted[i] AND p.period_start = starts[i];
        END IF;
        UPDATE public.spend_periods AS p SET leased = p.leased + granted[i]
        WHERE p.meter = wanted[i] AND p.period_start = starts[i]
        RETURNING p.* INTO period;
        IF denied[i] AND period.leased > lease.amount
            AND (period.recalled_at IS NULL OR period.recalled_at < clock_timestamp() - interval '100 milliseconds')
        THEN
            UPDATE public.spend_periods AS p SET recalled_at = clock_timestamp()
            WHERE p.meter = wanted[i] AND p.period_start = starts[i];
            PERFORM pg_notify('centralcloud_spend', wanted[i]);
        END IF;
        grants := grants || jsonb_build_object(
            'meter', wanted[i], 'period_start', period.period_start,
            'seconds_left', extract(epoch FROM period.period_end - clock_timestamp()),
            'granted', granted[i], 'lease', lease.amount, 'limit', period.limit_amount,
            'spent', period.spent + period.written_off, 'leased', period.leased, 'sharers', sharers[i],
            'scarce', denied[i] OR granted[i] < coalesce(
                (exchange_spend.report -> 'wants' ->> wanted[i])::bigint, 0
            )
        );
    END LOOP;

    -- 5. One alert for each budget and period: the primary key decides. A period that has ended gives none.
    FOR item IN
        SELECT p.meter, p.period_start, p.period_end, p.limit_amount, p.spent + p.written_off AS spent
        FROM public.spend_periods AS p
        WHERE (p.meter, p.period_start) IN (
                SELECT w.meter, w.period_start FROM unnest(wanted, starts) AS w (meter, period_start)
                UNION SELECT a.meter, a.period_start
                FROM jsonb_to_recordset(exchange_spend.report -> 'accounts') AS a (meter text, period_start timestamptz)
            )
            AND p.meter LIKE 'budget/%' AND p.limit_amount > 0 AND p.spent + p.written_off > 0 AND p.period_end > moment
            AND NOT EXISTS (
                SELECT FROM public.spend_alerts AS given WHERE given.meter = p.meter AND given.period_start = p.period_start
            )
    LOOP
        share := (centralcloud.spend_limit(item.meter, moment)).threshold;
        IF item.spent >= item.limit_amount * share::numeric THEN
            INSERT INTO public.spend_alerts (meter, period_start, period_end, holder, threshold, limit_amount, spent)
            VALUES (item.meter, item.period_start, item.period_end, me, share, item.limit_amount, item.spent)
            ON CONFLICT DO NOTHING;
            IF FOUND THEN
                alerts := alerts || jsonb_build_object(
                    'meter', item.meter, 'threshold', share, 'spent', item.spent, 'limit', item.limit_amount
                );
            END IF;
        END IF;
    END LOOP;
    reply := jsonb_build_object('number', exchange_spend.number, 'grants', grants, 'alerts', alerts);
    UPDATE public.spend_holders AS h SET number = exchange_spend.number, answer = reply
    WHERE h.holder = me;
    RETURN reply;
END
$$;
COMMENT ON FUNCTION centralcloud.exchange_spend IS
    'one exchange of a gateway about limits: {lease_seconds, accounts: [{meter, period_start, spent, estimated, returned}], asks: [{meter: need}], wants: {meter: amount}}. Each ask gets all of its meters or none; returns what was granted, and the alerts that this report caused. The same number again returns the same answer, and counts nothing twice';
