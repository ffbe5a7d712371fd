-- What this role lacks of what a worker does, first what it does all the time. Looks at catalogs only.
SELECT
    ARRAY(
        SELECT privilege || ' on ' || name
        FROM (
            SELECT (name <> 'routing_records')::int AS place, privilege, name
            FROM (
                VALUES
                    ('INSERT', 'routing_records'), ('SELECT', 'routing_records'), ('UPDATE', 'model_routing_metrics'),
                    ('INSERT', 'decision_ids'), ('INSERT', 'dead_letters'), ('UPDATE', 'accounting'),
                    ('UPDATE', 'evidence_slices'), ('INSERT', 'evidence'), ('UPDATE', 'model_scores'),
                    ('INSERT', 'model_score_history'), ('UPDATE', 'rule_scores'),
                    ('DELETE', 'pgmq.q_model_routing_decisions'), ('INSERT', 'pgmq.q_model_score_updates')
            ) AS first_of_all (privilege, name)
            UNION ALL
            SELECT 2, privilege, name
            FROM unnest(%(tables)s::text[]) AS name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
        ) AS needed
        WHERE NOT coalesce(has_table_privilege(to_regclass(name), privilege), false)
        GROUP BY privilege, name
        ORDER BY min(place), name, privilege
    ) || ARRAY(
        -- Those that workers and commands call; what these call in turn runs as their owner.
        SELECT 'EXECUTE on ' || oid::regprocedure FROM pg_proc
        WHERE pronamespace = to_regnamespace('centralcloud') AND NOT has_function_privilege(oid, 'EXECUTE')
            AND proname IN ('ensure_partitions', 'drop_expired_partition', 'publish_decision', 'publish_decisions')
        ORDER BY proname
    ) AS missing_privileges;
