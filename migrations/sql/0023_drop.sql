DROP VIEW model_selections, cost_budgets;
DROP FUNCTION
    centralcloud.recent_requests, centralcloud.usage_until, centralcloud.usage_escalations, centralcloud.usage_totals,
    centralcloud.calendar_periods, centralcloud.usage_key;
DROP INDEX idx_routing_records_workspace;
DROP TABLE roll_up_progress, escalation_roll_ups, usage_roll_ups;
ALTER TABLE model_performance DROP COLUMN id, DROP COLUMN created_at, DROP COLUMN cost_nano_usd;
COMMENT ON COLUMN model_performance.total_cost IS 'in USD';
-- The role of dashboards loses the right that came with the views.
DO $$
DECLARE reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
            AND NOT has_table_privilege(a.grantee, c.oid, 'INSERT')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION centralcloud.calendar_period FROM %s', reader);
    END LOOP;
END
$$;
