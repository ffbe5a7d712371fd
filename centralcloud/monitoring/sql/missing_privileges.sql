-- The privileges of a worker that this role lacks, first the one without which no event can be ingested. Missing tables are
-- left out. Reads catalogs only.
SELECT
    ARRAY(
        SELECT privilege || ' on ' || name
        FROM (
            SELECT privilege, name
            FROM unnest(%(tables)s::text[]) AS name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
            UNION ALL
            SELECT privilege, name
            FROM unnest(%(append_only)s::text[]) AS name, unnest(ARRAY['SELECT', 'INSERT']) AS privilege
            UNION ALL
            VALUES
                ('SELECT', 'evidence_of_records'), ('DELETE', 'pgmq.q_model_routing_decisions'),
                ('INSERT', 'pgmq.q_model_score_updates')
        ) AS needed
        WHERE NOT has_table_privilege(
            to_regclass(CASE WHEN name LIKE '%%.%%' THEN name ELSE 'public.' || name END), privilege
        )
        ORDER BY (privilege, name) <> ('INSERT', 'routing_records'), name, privilege
    ) || ARRAY(
        -- Functions that workers and commands call. The functions that these call run as their owner.
        SELECT 'EXECUTE on ' || oid::regprocedure FROM pg_proc
        WHERE pronamespace = to_regnamespace('centralcloud') AND NOT has_function_privilege(oid, 'EXECUTE')
            AND proname IN (
                'ensure_partitions', 'drop_expired_partition', 'publish_decision', 'publish_decisions', 'add_metrics',
                'add_dropped_metrics'
            )
        ORDER BY proname
    ) AS missing_privileges;
