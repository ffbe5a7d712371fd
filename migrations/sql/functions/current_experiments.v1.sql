CREATE OR REPLACE FUNCTION centralcloud.current_experiments()
RETURNS TABLE (experiment_id text, body jsonb, config_version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by the primary key of configuration_entries. For roles that may not read the rest of it, keys included.
    SELECT entry.id, entry.body, entry.config_version
    FROM public.configuration_entries AS entry
    WHERE entry.kind = 'experiment' AND entry.body IS NOT NULL
    ORDER BY entry.id
$$;
COMMENT ON FUNCTION centralcloud.current_experiments IS
    'the experiments of the configuration in their JSON form, each with the version of its newest change';
