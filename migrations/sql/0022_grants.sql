-- A role that may exchange the health of targets is a gateway or a worker: it may exchange spend from now on.
DO $$
DECLARE gateway text;
BEGIN
    FOR gateway IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'claim_target_leases'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.exchange_spend, centralcloud.current_spend TO %s', gateway);
    END LOOP;
END
$$;
