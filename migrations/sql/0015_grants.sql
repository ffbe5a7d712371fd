-- A role that may drop partitions is a worker: it may read the new tables, and writes none of them. A role that may read the
-- leases shows the state of the fleet: it sees who has changed the configuration, but not the entries, which include keys.
REVOKE ALL ON FUNCTION
    centralcloud.configuration_since, centralcloud.lock_configuration, centralcloud.write_configuration,
    centralcloud.report_model_health
FROM PUBLIC;
DO $$
DECLARE worker text; reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON configuration_state, configuration_versions, model_health TO %s', reader);
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT SELECT ON configuration_state, configuration_versions, configuration_entries, configuration_history, '
            'model_health TO %s', worker
        );
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.configuration_since TO %s', worker);
    END LOOP;
END
$$;
