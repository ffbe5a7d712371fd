-- Rights on the functions by which experiments are started, and shown by gateways. A role that may exchange spend is a gateway or
-- a worker, one that may write the configuration starts experiments.
REVOKE ALL ON FUNCTION centralcloud.experiment_report, centralcloud.experiments_ever, centralcloud.models_heard_of,
    centralcloud.scope_traffic FROM PUBLIC;
DO $$
DECLARE gateway text; configurator text; operator text;
BEGIN
    FOR gateway IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'exchange_spend'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.experiment_report TO %s', gateway);
    END LOOP;
    FOR configurator IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'write_configuration'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.experiment_report, centralcloud.experiments_ever, '
            'centralcloud.models_heard_of, centralcloud.scope_traffic TO %s', configurator
        );
    END LOOP;
    -- An operator sees whether a daemon looks after what it changes.
    FOR operator IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'set_model_status'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON experiment_heartbeat TO %s', operator);
    END LOOP;
END
$$;
