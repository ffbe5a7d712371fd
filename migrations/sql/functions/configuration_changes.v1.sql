CREATE OR REPLACE FUNCTION centralcloud.configuration_changes(most integer, wanted_kind text DEFAULT NULL, wanted_id text DEFAULT NULL)
RETURNS TABLE (version bigint, at timestamptz, who text, via text, source text, reason text, changed integer, entries text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- The newest versions by the primary key; the log of operators' actions is as long as people have changed something.
    WITH newest AS MATERIALIZED (
        SELECT v.config_version, v.at, v.who, v.reason, v.entries
        FROM public.configuration_versions AS v
        WHERE configuration_changes.wanted_kind IS NULL OR EXISTS (
            SELECT FROM public.configuration_history AS h
            WHERE h.config_version = v.config_version AND h.kind = configuration_changes.wanted_kind
                AND (configuration_changes.wanted_id IS NULL OR h.id = configuration_changes.wanted_id)
        )
        ORDER BY v.config_version DESC
        LIMIT configuration_changes.most
    ), logged AS (
        SELECT DISTINCT ON (a.after ->> 'config_version') (a.after ->> 'config_version')::bigint AS config_version, a.via, a.source
        FROM public.operator_actions AS a
        WHERE a.action = 'change_configuration'
        ORDER BY a.after ->> 'config_version', a.id DESC
    )
    SELECT
        newest.config_version, newest.at, newest.who, logged.via, logged.source, newest.reason, newest.entries,
        (
            SELECT array_agg(h.kind || '/' || h.id ORDER BY h.kind, h.id)
            FROM (
                SELECT each.kind, each.id
                FROM public.configuration_history AS each
                WHERE each.config_version = newest.config_version
                ORDER BY each.kind, each.id
                LIMIT 100
            ) AS h
        )
    FROM newest
    LEFT JOIN logged ON logged.config_version = newest.config_version
    ORDER BY newest.config_version DESC
$$;
COMMENT ON FUNCTION centralcloud.configuration_changes IS
    'the newest versions of the configuration with their authors, and the kind/id of up to 100 entries that each has changed; with a kind or an id only the versions that changed it';
