-- A right that a role still lacks: GRANT only warns when its role may not grant it.
SELECT format('the role %%s lacks %%s', role, lacks) FROM (
    SELECT %(worker)s::text AS role, unnest(ARRAY[
        CASE WHEN NOT has_schema_privilege(%(worker)s, 'pgmq', 'USAGE') THEN 'USAGE on the schema pgmq' END,
        CASE WHEN NOT has_table_privilege(%(worker)s, 'pgmq.q_model_routing_decisions', 'DELETE')
            THEN 'rights on the queue model_routing_decisions' END,
        CASE WHEN NOT has_function_privilege(%(worker)s, 'pgmq.pop(text, integer)', 'EXECUTE')
            THEN 'EXECUTE on the functions of pgmq' END,
        CASE WHEN NOT has_table_privilege(%(worker)s, 'public.routing_records', 'INSERT')
            THEN 'rights on the tables of the schema public' END
    ]) AS lacks
    WHERE %(worker)s::text IS NOT NULL
    UNION ALL
    SELECT name, 'EXECUTE on the functions for instances'
    FROM unnest(%(instances)s::text[]) AS name
    WHERE NOT has_schema_privilege(name, 'centralcloud', 'USAGE')
        OR NOT has_function_privilege(name, 'centralcloud.publish_decision(jsonb)', 'EXECUTE')
    UNION ALL
    SELECT %(gateway)s::text, 'EXECUTE on the functions for gateways'
    WHERE %(gateway)s::text IS NOT NULL
        AND NOT has_function_privilege(%(gateway)s, 'centralcloud.configuration_since(bigint, bigint)', 'EXECUTE')
    UNION ALL
    SELECT %(configurator)s::text, 'EXECUTE on the functions that change the configuration'
    WHERE %(configurator)s::text IS NOT NULL AND (
        NOT has_schema_privilege(%(configurator)s, 'centralcloud', 'USAGE')
        OR NOT has_function_privilege(%(configurator)s, 'centralcloud.lock_configuration()', 'EXECUTE')
    )
    UNION ALL
    SELECT rolname, 'LOGIN' FROM pg_roles WHERE rolname = %(login)s AND NOT rolcanlogin
) AS found
WHERE lacks IS NOT NULL;
