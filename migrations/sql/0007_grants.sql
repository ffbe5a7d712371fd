-- A role that may drop partitions is a worker: it may use the new functions and the view from now on.
REVOKE ALL ON FUNCTION
    centralcloud.add_metrics, centralcloud.add_dropped_metrics, centralcloud.sync_rule_state FROM PUBLIC;
DO $$
DECLARE worker text;
BEGIN
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON evidence_of_records TO %s', worker);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.add_metrics, centralcloud.add_dropped_metrics TO %s', worker
        );
    END LOOP;
END
$$;
