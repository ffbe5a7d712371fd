-- A role that may drop partitions is a worker: it may use the new tables, the view and the functions from now on. A role that may
-- read the leases shows the state of the fleet: it may read what has no words of users.
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
                estimated_cost_usd, cost_nano_usd, reward, arm_share, feedback_until, attempt, estimated_ms, first_token_ms,
                complexity_level_10, request_id, workspace, worker, task_id, agent_type, policy, rule, finish_reason, classifier,
                model_version, experiment, arm
            ) ON routing_records TO %s', reader
        );
        EXECUTE format(
            'GRANT SELECT (
                request_id, created_at, success, learned, reward, instance_id, decision_id, model_name, complexity_level,
                workspace
            ) ON feedback TO %s', reader
        );
        EXECUTE format(
            'GRANT SELECT (
                id, timestamp, task_type, complexity, selected_model, estimated_cost, actual_cost, execution_time,
                estimated_time, success, tokens_used, request_id, attempts, instance_id, decision_id, workspace, reward,
                finish_reason
            ) ON routing_decisions TO %s', reader
        );
        EXECUTE format('GRANT SELECT ON request_plans TO %s', reader);
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON request_plans, feedback, waiting_feedback TO %s', worker);
        EXECUTE format('GRANT SELECT ON routing_decisions TO %s', worker);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION
                centralcloud.report_feedback, centralcloud.apply_feedback, centralcloud.settle_feedback TO %s', worker
        );
    END LOOP;
END
$$;
