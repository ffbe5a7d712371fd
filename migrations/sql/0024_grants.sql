-- Workers replay dead letters and send files: a role that may drop partitions is a worker.
REVOKE ALL ON FUNCTION centralcloud.notify_decisions FROM PUBLIC;
DO $$
DECLARE worker text;
BEGIN
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.notify_decisions TO %s', worker);
    END LOOP;
END
$$;
