-- A role that may report feedback is a gateway or a worker: it may submit that of its clients from now on.
DO $$
DECLARE reporter text; worker text;
BEGIN
    FOR reporter IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'report_feedback'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.submit_feedback TO %s', reporter);
    END LOOP;
    -- A role that may drop partitions is a worker: it uses no entry of the configuration, and these have the hashes of keys.
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('REVOKE SELECT ON configuration_entries, configuration_history FROM %s', worker);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION centralcloud.configuration_since FROM %s', worker);
    END LOOP;
END
$$;
