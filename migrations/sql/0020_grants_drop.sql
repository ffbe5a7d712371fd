-- The rights to the view as revisions 0014 to 0019 have them: a role that may drop partitions is a worker, and one that may read
-- the leases, and not change them, shows the state of the fleet.
DO $$
DECLARE worker text; reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
          AND NOT has_table_privilege(a.grantee, 'leases', 'UPDATE')
    LOOP
        EXECUTE format(
            'GRANT SELECT (
                id, timestamp, task_type, complexity, selected_model, estimated_cost, actual_cost, execution_time,
                estimated_time, success, tokens_used, request_id, attempts, instance_id, decision_id, workspace, reward,
                finish_reason
            ) ON routing_decisions TO %s', reader
        );
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON routing_decisions TO %s', worker);
    END LOOP;
END
$$;
