-- Rights on the functions by which the learner starts a canary of its scores. A role that may change stages and drop partitions is a
-- worker.
REVOKE ALL ON FUNCTION centralcloud.start_score_canary FROM PUBLIC;
DO $$
DECLARE worker text;
BEGIN
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.start_score_canary, centralcloud.scope_traffic TO %s', worker
        );
    END LOOP;
END
$$;
