CREATE OR REPLACE FUNCTION centralcloud.report_model_health(model_id text, health jsonb, ttl_seconds double precision)
RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    new_version bigint;
    until timestamptz;
BEGIN
    IF (report_model_health.ttl_seconds BETWEEN 1 AND 86400) IS NOT TRUE THEN
        RAISE EXCEPTION 'ttl_seconds: found %, expected 1 to 86400', coalesce(report_model_health.ttl_seconds::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The lock of this row orders all reports, as it orders all writers of the configuration.
    UPDATE public.configuration_state SET health_version = health_version + 1 RETURNING health_version INTO new_version;
    IF NOT EXISTS (
        SELECT FROM public.configuration_entries
        WHERE kind = 'model' AND id = report_model_health.model_id AND body IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'model_id: found %, expected a registered model',
            coalesce(to_json(left(report_model_health.model_id, 80))::text, 'NULL')
            USING ERRCODE = 'CC404';
    END IF;
    INSERT INTO public.model_health AS h (model_id, body, reported_at, expires_at, health_version)
    VALUES (
        report_model_health.model_id, report_model_health.health, now(),
        now() + make_interval(secs => report_model_health.ttl_seconds), new_version
    )
    ON CONFLICT (model_id) DO UPDATE SET
        body = excluded.body, reported_at = excluded.reported_at, expires_at = excluded.expires_at,
        health_version = excluded.health_version
    RETURNING h.expires_at INTO until;
    PERFORM pg_notify('centralcloud_configuration', '');
    RETURN until;
END
$$;
COMMENT ON FUNCTION centralcloud.report_model_health IS
    'stores the health of a registered model for ttl_seconds; returns when it expires';
