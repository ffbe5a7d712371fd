-- A role that may read the leases shows the state of the fleet: it may read the numbers of the queue from now on, and the
-- registered models and rules.
DO $$
DECLARE reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.queue_summary TO %s', reader);
        EXECUTE format('GRANT SELECT ON dashboard_configuration TO %s', reader);
    END LOOP;
END
$$;
-- For the role of operators, which `centralcloud grants --apply` creates.
REVOKE ALL ON FUNCTION centralcloud.set_model_status FROM PUBLIC;
