CREATE OR REPLACE FUNCTION centralcloud.task_classifier_in_use(OUT version bigint, OUT sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by the primary keys. One row, of nulls where none is in use.
    SELECT c.version, c.sha256
    FROM (VALUES (1)) AS one (row)
    LEFT JOIN LATERAL (
        SELECT choices.version FROM public.task_classifier_choices AS choices ORDER BY choices.choice DESC LIMIT 1
    ) AS newest ON true
    LEFT JOIN public.task_classifiers AS c ON c.version = newest.version
$$;
COMMENT ON FUNCTION centralcloud.task_classifier_in_use IS
    'the version and the checksum of the trained classifier that gateways use; nulls: none';
