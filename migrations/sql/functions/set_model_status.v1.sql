CREATE OR REPLACE FUNCTION centralcloud.set_model_status(
    expected_version bigint, model_id text, status text, who text, via text, source text, reason text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- The one change of the configuration that a role may make that may not see the rest of it, keys included.
DECLARE
    current_version bigint := centralcloud.lock_configuration();
    body jsonb := (
        SELECT entry.body FROM public.configuration_entries AS entry
        WHERE entry.kind = 'model' AND entry.id = set_model_status.model_id
    );
BEGIN
    IF body IS NULL THEN
        RAISE EXCEPTION 'model_id: found %, expected the id of a registered model', coalesce(quote_literal(set_model_status.model_id), 'NULL')
            USING ERRCODE = 'CC404';
    END IF;
    IF set_model_status.status IS NULL OR set_model_status.status NOT IN ('active', 'inactive') THEN
        RAISE EXCEPTION 'status: found %, expected active or inactive', coalesce(quote_literal(set_model_status.status), 'NULL')
            USING ERRCODE = '22023';
    END IF;
    -- A status that is already there makes no version: an entry without one is active.
    IF coalesce(body ->> 'status', 'active') = set_model_status.status
        AND set_model_status.expected_version IS NOT DISTINCT FROM current_version
    THEN
        RETURN current_version;
    END IF;
    RETURN centralcloud.write_configuration(
        set_model_status.expected_version,
        jsonb_build_array(jsonb_build_object(
            'kind', 'model', 'id', set_model_status.model_id, 'body', body || jsonb_build_object('status', set_model_status.status)
        )),
        set_model_status.who, set_model_status.via, set_model_status.source, set_model_status.reason
    );
END
$$;
COMMENT ON FUNCTION centralcloud.set_model_status IS
    'makes a registered model active or inactive, in a new version of the configuration, which it returns; SQLSTATE CC404 for an unknown model, CC409 for another version than the expected one';
