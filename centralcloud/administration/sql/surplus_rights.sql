-- Rights that a role has beyond its purpose: from before, or because every role has them.
SELECT format('the role %%s %%s', role, surplus) FROM (
    SELECT rolname AS role, unnest(CASE WHEN rolsuper THEN ARRAY['is a superuser'] ELSE ARRAY[
        CASE WHEN has_schema_privilege(rolname, 'public', 'CREATE') THEN 'may create objects in the schema public' END,
        CASE WHEN has_database_privilege(rolname, current_database(), 'CREATE') THEN 'may create schemas' END,
        CASE WHEN has_database_privilege(rolname, current_database(), 'TEMPORARY') THEN 'may create temporary tables' END,
        CASE WHEN rolname = ANY (%(instances)s::text[]) AND has_schema_privilege(rolname, 'pgmq', 'USAGE')
            THEN 'may use the schema pgmq' END,
        CASE WHEN rolname = ANY (%(instances)s::text[])
                AND has_any_column_privilege(rolname, 'public.model_scores', 'SELECT, INSERT, UPDATE')
            THEN 'may read or write tables' END,
        CASE WHEN rolname = ANY (%(instances)s::text[])
            THEN 'may become the role ' || (
                SELECT string_agg(other.rolname, ', ' ORDER BY other.rolname) FROM pg_roles AS other
                WHERE other.rolcanlogin AND other.oid <> one.oid AND pg_has_role(one.oid, other.oid, 'MEMBER')
            ) || ', and set its password' END,
        CASE WHEN rolname = %(login)s AND shobj_description(oid, 'pg_authid') LIKE '%%centralcloud grants --instance%%' IS NOT TRUE
            THEN 'existed before: where instance_logins does not list it, it speaks for any instance, unless a comment on it '
                'says "centralcloud grants --instance"' END
    ] END) AS surplus
    FROM pg_roles AS one WHERE rolname = ANY (%(roles)s::text[])
) AS found
WHERE surplus IS NOT NULL
ORDER BY 1;
