-- A role that may report feedback is a gateway or a worker: it may submit that of its clients from now on.
DO $$
DECLARE reporter text;
BEGIN
    FOR reporter IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'report_feedback'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.submit_feedback TO %s', reporter);
    END LOOP;
END
$$;
