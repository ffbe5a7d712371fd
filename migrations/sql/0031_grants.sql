-- Rights on experiments. A role that may drop partitions is a worker: it keeps their evidence, may change their stages, and starts
-- canaries of learned scores. A role that may read the leases shows the state of the fleet: it reads the experiments. A role that
-- may set the status of a model is that of operators: it may change stages, which is logged as its action.
REVOKE ALL ON FUNCTION centralcloud.current_experiments, centralcloud.set_experiment_stage,
    centralcloud.start_score_canary FROM PUBLIC;
DO $$
DECLARE reader text; worker text; operator text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT SELECT ON experiment_progress, experiment_comparisons, experiment_results, experiment_verdicts, '
            'experiment_heartbeat TO %s', reader
        );
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.current_experiments TO %s', reader);
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE, DELETE ON experiment_progress, experiment_comparisons, experiment_sessions, '
            'experiment_results, experiment_heartbeat TO %s', worker
        );
        EXECUTE format('GRANT SELECT, INSERT ON experiment_verdicts TO %s', worker);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.current_experiments, centralcloud.set_experiment_stage, '
            'centralcloud.start_score_canary, centralcloud.scope_traffic TO %s', worker
        );
    END LOOP;
    FOR operator IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'set_model_status'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON experiment_progress, experiment_results TO %s', operator);
        EXECUTE format('GRANT SELECT, INSERT ON experiment_verdicts TO %s', operator);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.current_experiments, centralcloud.set_experiment_stage TO %s', operator
        );
    END LOOP;
END
$$;
