-- A role that may acknowledge scores for an instance may also say that the instance has gone.
REVOKE ALL ON FUNCTION centralcloud.leave FROM PUBLIC;
DO $$
DECLARE instance text;
BEGIN
    FOR instance IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.acknowledge(text, bigint)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.leave TO %s', instance);
    END LOOP;
END
$$;
