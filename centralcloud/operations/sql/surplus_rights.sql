-- What a role may do beyond what it is for: by what it was before, or by what everybody may.
SELECT format('the role %%s %%s', role, surplus) FROM (
    SELECT rolname AS role, unnest(CASE WHEN rolsuper THEN ARRAY['is a superuser'] ELSE ARRAY[
        CASE WHEN has_schema_privilege(rolname, 'public', 'CREATE') THEN 'may create objects in the schema public' END,
        CASE WHEN has_database_privilege(rolname, current_database(), 'CREATE') THEN 'may create schemas' END,
        CASE WHEN has_database_privilege(rolname, current_database(), 'TEMPORARY') THEN 'may create temporary tables' END,
        CASE WHEN rolname = ANY (%(instances)s::text[]) AND has_schema_privilege(rolname, 'pgmq', 'USAGE')
            THEN 'may use the schema pgmq' END,
        CASE WHEN rolname = ANY (%(instances)s::text[])
                AND has_any_column_privilege(rolname, 'public.model_scores', 'SELECT, INSERT, UPDATE')
            THEN 'may read or write tables' END
    ] END) AS surplus
    FROM pg_roles WHERE rolname = ANY (%(roles)s::text[])
) AS found
WHERE surplus IS NOT NULL
ORDER BY 1;
