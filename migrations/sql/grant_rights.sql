-- Rights on what a revision adds. A role that may drop partitions is a worker: it may use the new tables and functions from now
-- on. A role that may read the leases shows the state of the fleet: it may read the new tables.
DO $$
DECLARE worker text; reader text; granted text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        FOREACH granted IN ARRAY {to_readers}::text[] LOOP
            EXECUTE format('GRANT %s TO %s', granted, reader);
        END LOOP;
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        FOREACH granted IN ARRAY {to_workers}::text[] LOOP
            EXECUTE format('GRANT %s TO %s', granted, worker);
        END LOOP;
    END LOOP;
END
$$;
