CREATE OR REPLACE FUNCTION centralcloud.report_target_health(reporter text, reports jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own text[] := centralcloud.own_instances();
    most constant integer := 10000;
    room integer;
    written integer;
    news integer;
BEGIN
    IF report_target_health.reporter IS NULL OR length(report_target_health.reporter) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'reporter: found %, expected a string of 1 to 200 characters',
            quote_nullable(left(report_target_health.reporter, 80))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(report_target_health.reports) IS DISTINCT FROM 'array'
        OR jsonb_array_length(report_target_health.reports) > 1000
    THEN
        RAISE EXCEPTION 'reports: expected an array of at most 1000 reports' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF own IS NOT NULL AND NOT report_target_health.reporter = ANY (own) THEN
        PERFORM centralcloud.refuse_instance('reporter', report_target_health.reporter, own);
    END IF;
    -- Names of targets are bounded by catalogs; a program that makes up more fills no disk.
    SELECT most - count(*) INTO room FROM public.target_health;
    IF room < jsonb_array_length(report_target_health.reports) THEN
        DELETE FROM public.target_health WHERE expires_at <= now();
        SELECT most - count(*) INTO room FROM public.target_health;
    END IF;
    WITH report AS (
        SELECT DISTINCT ON (r.kind, r.key) r.kind, r.key, r.state, left(r.reason, 200) AS reason, r.seconds
        FROM jsonb_to_recordset(report_target_health.reports)
            AS r (kind text, key text, state text, reason text, seconds double precision)
        WHERE r.kind IN ('breaker', 'check') AND r.seconds BETWEEN 0 AND 86400
    ),
    sorted AS (
        -- In one order, so that two reporters wait for each other in turn.
        SELECT report.*, known.key IS NOT NULL AS known,
            (known.state IS DISTINCT FROM report.state OR known.expires_at <= now()) AS is_news,
            count(*) FILTER (WHERE known.key IS NULL) OVER (ORDER BY report.kind, report.key) AS new_rows
        FROM report LEFT JOIN public.target_health AS known USING (kind, key)
        WHERE known.key IS NOT NULL OR report.state <> 'closed'
        ORDER BY report.kind, report.key
    ),
    stored AS (
        INSERT INTO public.target_health AS h (kind, key, reporter, state, reason, reported_at, expires_at)
        SELECT s.kind, s.key, report_target_health.reporter, s.state, s.reason, now(), now() + make_interval(secs => s.seconds)
        FROM sorted AS s
        WHERE s.known OR s.new_rows <= room
        ON CONFLICT (kind, key) DO UPDATE SET
            reporter = excluded.reporter, state = excluded.state, reason = excluded.reason,
            reported_at = excluded.reported_at, expires_at = excluded.expires_at
        WHERE h.expires_at <= now()
            -- A recovery takes back only what the same gateway has said. Where many gateways say the same, one of them in a
            -- second is enough: each write wakes all of them.
            OR h.reporter = excluded.reporter
            OR (excluded.state <> 'closed' AND h.reported_at <= now() - interval '1 second')
            OR h.kind = 'check'
        RETURNING h.kind, h.key
    )
    SELECT count(*), count(*) FILTER (WHERE sorted.is_news) INTO written, news FROM stored JOIN sorted USING (kind, key);
    IF news > 0 THEN
        PERFORM pg_notify('centralcloud_target_health', '');
    END IF;
    RETURN written;
END
$$;
COMMENT ON FUNCTION centralcloud.report_target_health IS
    'stores what a gateway says about targets, each for some seconds, and wakes the others; returns how many were stored';
