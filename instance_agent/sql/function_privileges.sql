-- Whether each function exists, and whether the current role may execute it.
SELECT
    name,
    to_regprocedure(name) IS NOT NULL AS exists,
    coalesce(has_function_privilege(to_regprocedure(name), 'EXECUTE'), false) AS allowed
FROM unnest(%(names)s::text[]) AS name;
