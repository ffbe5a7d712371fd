-- A role that may write the configuration may read its history. A role that may read the leases, and take none, shows the
-- state of the fleet: it may read the policies, which have no secrets. So may a worker, with whose role operators work.
REVOKE ALL ON FUNCTION centralcloud.configuration_at, centralcloud.configuration_changes FROM PUBLIC;
DO $$
DECLARE configurator text; reader text; worker text;
BEGIN
    FOR configurator IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'write_configuration'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.configuration_at, centralcloud.configuration_changes TO %s', configurator
        );
    END LOOP;
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
            AND NOT has_table_privilege(a.grantee, c.oid, 'INSERT')
    LOOP
        EXECUTE format('GRANT SELECT ON routing_policies TO %s', reader);
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON routing_policies TO %s', worker);
    END LOOP;
END
$$;
