CREATE OR REPLACE FUNCTION centralcloud.lock_configuration() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT config_version FROM public.configuration_state FOR UPDATE $$;
COMMENT ON FUNCTION centralcloud.lock_configuration IS
    'waits for other writers, and returns the version; until the transaction ends no other one changes the configuration';
