-- A right that a role for instances, gateways, the configuration or operators, or a login, still lacks: GRANT only warns when its role may
-- not grant it. The rights of workers are those of missing_privileges.sql.
SELECT format('the role %%s lacks %%s', role, lacks) FROM (
    SELECT name AS role, 'EXECUTE on the functions for instances' AS lacks
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
    SELECT %(operator)s::text, 'the rights of operators'
    WHERE %(operator)s::text IS NOT NULL AND (
        NOT has_table_privilege(%(operator)s, 'public.score_pins', 'INSERT')
        OR NOT has_function_privilege(%(operator)s, 'centralcloud.notify_decisions()', 'EXECUTE')
    )
    UNION ALL
    SELECT rolname, 'LOGIN' FROM pg_roles WHERE rolname = %(login)s AND NOT rolcanlogin
) AS found;
