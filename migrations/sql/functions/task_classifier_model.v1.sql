CREATE OR REPLACE FUNCTION centralcloud.task_classifier_model(wanted bigint) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by the primary key.
    SELECT c.model FROM public.task_classifiers AS c WHERE c.version = task_classifier_model.wanted
$$;
COMMENT ON FUNCTION centralcloud.task_classifier_model IS 'a trained classifier as bytes; null: there is none of this version';
