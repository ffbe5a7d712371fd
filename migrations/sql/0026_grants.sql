-- A role that may read the sums of use may compare models by complexity from now on, and a role that may read the other columns of
-- the sums may read the new one.
REVOKE ALL ON FUNCTION centralcloud.usage_by_complexity FROM PUBLIC;
DO $$
DECLARE gateway text; reader text;
BEGIN
    FOR gateway IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'usage_totals'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.usage_by_complexity TO %s', gateway);
    END LOOP;
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c
        JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'task_type'
        CROSS JOIN LATERAL aclexplode(t.attacl) AS a
        WHERE c.oid = 'usage_roll_ups'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT (complexity) ON usage_roll_ups TO %s', reader);
    END LOOP;
END
$$;
