-- Whether each of these functions of centralcloud exists, and whether the current role may execute it. Reads catalogs only.
SELECT
    'centralcloud.' || wanted AS name,
    p.oid IS NOT NULL AS exists,
    coalesce(has_function_privilege(p.oid, 'EXECUTE'), false) AS allowed
FROM unnest(%(names)s::text[]) AS wanted
LEFT JOIN pg_proc p ON p.proname = wanted AND p.pronamespace = 'centralcloud'::regnamespace
ORDER BY wanted;
