CREATE OR REPLACE FUNCTION centralcloud.experiments_ever() RETURNS TABLE (id text, body jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Every experiment that there was, those that were removed included, each as it was last. One that has the id of an earlier
    -- one is another experiment: its salt is. Reads the history of the configuration, which is as long as people and the ramp
    -- have changed something.
    SELECT DISTINCT ON (each.id, each.body ->> 'salt') each.id, each.body
    FROM public.configuration_history AS each
    WHERE each.kind = 'experiment' AND each.body IS NOT NULL
    ORDER BY each.id, each.body ->> 'salt', each.config_version DESC
$$;
COMMENT ON FUNCTION centralcloud.experiments_ever IS
    'every experiment that there ever was, as it was last: the n-th one of the same treatment and scope counts n times';
