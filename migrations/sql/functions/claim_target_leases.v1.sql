CREATE OR REPLACE FUNCTION centralcloud.claim_target_leases(holder text, names text[], seconds double precision)
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own text[] := centralcloud.own_instances();
BEGIN
    IF (claim_target_leases.seconds BETWEEN 0 AND 86400) IS NOT TRUE
        OR (length(claim_target_leases.holder) BETWEEN 1 AND 200) IS NOT TRUE
        OR (cardinality(claim_target_leases.names) <= 1000) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'expected a holder of 1 to 200 characters, at most 1000 names, and 0 to 86400 seconds'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF own IS NOT NULL AND NOT claim_target_leases.holder = ANY (own) THEN
        PERFORM centralcloud.refuse_instance('holder', claim_target_leases.holder, own);
    END IF;
    IF (SELECT count(*) FROM public.target_health) > 20000 THEN
        DELETE FROM public.target_health WHERE expires_at <= now();
    END IF;
    -- The holder renews its lease, or shortens it. A lease that expires much later than one could was acquired by a clock that
    -- was ahead: it counts as expired.
    RETURN QUERY
    INSERT INTO public.target_health AS h (kind, key, reporter, state, reported_at, expires_at)
    SELECT 'lease', each, claim_target_leases.holder, 'held', clock_timestamp(),
        clock_timestamp() + make_interval(secs => claim_target_leases.seconds)
    FROM (SELECT DISTINCT unnest(claim_target_leases.names) AS each ORDER BY each) AS wanted
    ON CONFLICT (kind, key) DO UPDATE SET
        reporter = excluded.reporter, reported_at = excluded.reported_at, expires_at = excluded.expires_at
    WHERE h.reporter = excluded.reporter OR h.expires_at <= clock_timestamp()
        OR h.expires_at > clock_timestamp() + interval '1 day 1 hour'
    RETURNING h.key;
END
$$;
COMMENT ON FUNCTION centralcloud.claim_target_leases IS
    'acquires or renews leases on probes and health checks of targets; returns the names of those that the holder has';
