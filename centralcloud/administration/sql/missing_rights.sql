-- A right that a role for instances, gateways, the configuration or operators, or a login, still lacks: GRANT only warns when its role may
-- not grant it. Each function stands beside the role that calls it. The rights of workers are those of missing_privileges.sql.
SELECT format('the role %%s lacks %%s', role, lacks) FROM (
    SELECT DISTINCT role, 'USAGE on the schema centralcloud' AS lacks
    FROM unnest(%(callers)s::text[]) AS role
    WHERE NOT has_schema_privilege(role, 'centralcloud', 'USAGE')
    UNION ALL
    SELECT role, format('EXECUTE on %%s', p.oid::regprocedure)
    FROM unnest(%(callers)s::text[], %(functions)s::text[]) AS called (role, function)
    JOIN pg_proc p ON p.proname = function AND p.pronamespace = 'centralcloud'::regnamespace
    WHERE NOT has_function_privilege(role, p.oid, 'EXECUTE')
    UNION ALL
    SELECT %(operator)s::text, 'the rights of operators'
    WHERE %(operator)s::text IS NOT NULL AND NOT has_table_privilege(%(operator)s, 'public.score_pins', 'INSERT')
    UNION ALL
    SELECT rolname, 'LOGIN' FROM pg_roles WHERE rolname = %(login)s AND NOT rolcanlogin
) AS found
ORDER BY 1;
