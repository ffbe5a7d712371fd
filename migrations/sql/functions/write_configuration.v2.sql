CREATE OR REPLACE FUNCTION centralcloud.write_configuration(
    expected_version bigint, changes jsonb, who text, via text, source text, reason text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most_logged constant integer := 100;
    current_version bigint := centralcloud.lock_configuration();
    new_version bigint := current_version + 1;
    changed integer;
    action text;
    subject text;
    before jsonb;
    after jsonb;
BEGIN
    IF write_configuration.expected_version IS DISTINCT FROM current_version THEN
        RAISE EXCEPTION 'expected_version: found %, expected %, the version of the configuration now',
            coalesce(write_configuration.expected_version::text, 'NULL'), current_version
            USING ERRCODE = 'CC409';
    END IF;
    -- Served by the primary key. A JSON null is an SQL null here: the entry is removed. The log has no hash of a key.
    WITH changed AS MATERIALIZED (
        SELECT wanted.kind, wanted.id, wanted.body, entry.body AS before
        FROM jsonb_to_recordset(write_configuration.changes) AS wanted (kind text, id text, body jsonb)
        LEFT JOIN public.configuration_entries AS entry USING (kind, id)
        WHERE wanted.body IS DISTINCT FROM entry.body
    ), written AS (
        INSERT INTO public.configuration_entries AS entry (kind, id, body, config_version)
        SELECT kind, id, body, new_version FROM changed
        ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, config_version = excluded.config_version
    ), recorded AS (
        INSERT INTO public.configuration_history (config_version, kind, id, body)
        SELECT new_version, kind, id, body FROM changed
    )
    SELECT
        count(*),
        CASE
            WHEN bool_or(kind <> 'key') THEN 'change_configuration'
            WHEN bool_and(changed.before IS NULL) THEN 'create_key'
            WHEN bool_and(body IS NULL) THEN 'remove_key'
            WHEN bool_or(changed.before IS NULL) AND bool_or(body ->> 'replacedBy' IS NOT NULL) THEN 'rotate_key'
            WHEN bool_and(changed.before ->> 'revokedAt' IS NULL AND body ->> 'revokedAt' IS NOT NULL) THEN 'revoke_key'
            ELSE 'change_configuration'
        END,
        CASE
            WHEN count(*) = 1 THEN min(kind || '/' || id)
            -- The key that is replaced, when one is: the other one is in `after`.
            WHEN count(*) = 2 AND bool_and(kind = 'key') AND bool_or(changed.before IS NULL)
                THEN coalesce(min(kind || '/' || id) FILTER (WHERE body ->> 'replacedBy' IS NOT NULL), 'configuration')
            ELSE 'configuration'
        END,
        jsonb_object_agg(kind || '/' || id, changed.before - 'hash') FILTER (WHERE changed.before IS NOT NULL),
        jsonb_object_agg(kind || '/' || id, body - 'hash') FILTER (WHERE body IS NOT NULL)
    INTO changed, action, subject, before, after
    FROM changed;
    IF changed = 0 THEN
        RETURN current_version;
    END IF;
    IF changed > most_logged THEN  -- configuration_history has them all
        before := NULL;
        after := NULL;
    END IF;
    UPDATE public.configuration_state SET config_version = new_version;
    INSERT INTO public.configuration_versions (config_version, who, reason, entries)
    VALUES (
        new_version, write_configuration.who || ' as ' || session_user, write_configuration.reason, changed
    );
    INSERT INTO public.operator_actions (who, via, source, action, subject, reason, before, after)
    VALUES (
        write_configuration.who, write_configuration.via, write_configuration.source, action, subject,
        write_configuration.reason,
        CASE WHEN before IS NOT NULL THEN jsonb_build_object('entries', before) END,
        jsonb_build_object('config_version', new_version, 'changed', changed, 'entries', after)
    );
    DELETE FROM public.model_health AS health
    USING public.configuration_entries AS entry
    WHERE entry.kind = 'model' AND entry.id = health.model_id AND entry.body IS NULL
        AND entry.config_version = new_version;
    PERFORM pg_notify('centralcloud_configuration', '');
    RETURN new_version;
END
$$;
COMMENT ON FUNCTION centralcloud.write_configuration IS
    'changes entries of the configuration ([{kind, id, body}], body null: remove it) in one version, which it returns; without a difference the version stays. The caller validates the whole: readers refuse what they cannot use';
