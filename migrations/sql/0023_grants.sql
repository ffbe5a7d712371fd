-- A role that may exchange spend is a gateway or a worker: it may read the sums of use from now on. A role that may read the leases,
-- and take none, shows the state of the fleet: it may read the new columns and views, but not keys, as in routing_records.
REVOKE ALL ON FUNCTION
    centralcloud.usage_key, centralcloud.calendar_periods, centralcloud.usage_totals, centralcloud.usage_escalations,
    centralcloud.usage_until, centralcloud.recent_requests
FROM PUBLIC;
DO $$
DECLARE gateway text; reader text; worker text;
BEGIN
    FOR gateway IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'exchange_spend'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION
                centralcloud.usage_totals, centralcloud.usage_escalations, centralcloud.usage_until, centralcloud.recent_requests
            TO %s', gateway
        );
    END LOOP;
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
            AND NOT has_table_privilege(a.grantee, c.oid, 'INSERT')
    LOOP
        EXECUTE format('GRANT SELECT ON model_selections, cost_budgets, escalation_roll_ups, roll_up_progress TO %s', reader);
        EXECUTE format(
            'GRANT SELECT (
                window_start, id, workspace, policy, worker, task_type, model_name, provider, requests, attempts, successes,
                failures, blameless, without_cost, response_time_count, response_time_sum_ms, input_tokens, output_tokens,
                timed_tokens, generation_ms, feedback_count, feedback_successes, feedback_reward, cost_nano_usd
            ) ON usage_roll_ups TO %s', reader
        );
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.usage_key, centralcloud.calendar_period TO %s', reader);
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON usage_roll_ups, escalation_roll_ups, roll_up_progress TO %s', worker);
        EXECUTE format('GRANT SELECT ON model_selections, cost_budgets TO %s', worker);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.usage_key, centralcloud.calendar_period, centralcloud.calendar_periods TO %s', worker
        );
    END LOOP;
END
$$;
