CREATE OR REPLACE FUNCTION centralcloud.set_experiment_stage(
    expected_version bigint, experiment_id text, stage jsonb, who text, via text, source text, reason text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- For roles that may not see the rest of the configuration, keys included: nothing but the stage of one experiment changes. The
-- version is that of the entry, so that changes of other entries do not disturb.
DECLARE
    current_version bigint := centralcloud.lock_configuration();
    body jsonb;
    entry_version bigint;
BEGIN
    SELECT entry.body, entry.config_version INTO body, entry_version
    FROM public.configuration_entries AS entry
    WHERE entry.kind = 'experiment' AND entry.id = set_experiment_stage.experiment_id;
    IF body IS NULL THEN
        RAISE EXCEPTION 'experiment_id: found %, expected the id of an experiment',
            coalesce(quote_literal(set_experiment_stage.experiment_id), 'NULL')
            USING ERRCODE = 'CC404';
    END IF;
    IF set_experiment_stage.expected_version IS DISTINCT FROM entry_version THEN
        RAISE EXCEPTION 'expected_version: found %, expected %, the version of the experiment now',
            coalesce(set_experiment_stage.expected_version::text, 'NULL'), entry_version
            USING ERRCODE = 'CC409';
    END IF;
    IF jsonb_typeof(set_experiment_stage.stage) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'stage: found %, expected an object', coalesce(set_experiment_stage.stage::text, 'NULL')
            USING ERRCODE = '22023';
    END IF;
    RETURN centralcloud.write_configuration(
        current_version,
        jsonb_build_array(jsonb_build_object(
            'kind', 'experiment', 'id', set_experiment_stage.experiment_id,
            'body', body || jsonb_build_object('stage', set_experiment_stage.stage)
        )),
        set_experiment_stage.who, set_experiment_stage.via, set_experiment_stage.source, set_experiment_stage.reason
    );
END
$$;
COMMENT ON FUNCTION centralcloud.set_experiment_stage IS
    'replaces the stage of an experiment in a new version of the configuration, which it returns; expected_version is that of the entry; SQLSTATE CC404 for an unknown experiment, CC409 when the entry has changed. The caller validates the stage: readers refuse what they cannot use';
