CREATE OR REPLACE FUNCTION centralcloud.configuration_at(wanted_version bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by idx_configuration_history_entry, which has the newest state of each entry first.
    SELECT jsonb_build_object(
        'version', state.config_version,
        'entries', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('kind', e.kind, 'id', e.id, 'version', e.config_version, 'body', e.body)
                ORDER BY e.kind, e.id
            )
            FROM (
                SELECT DISTINCT ON (h.kind, h.id) h.kind, h.id, h.config_version, h.body
                FROM public.configuration_history AS h
                WHERE h.config_version <= configuration_at.wanted_version
                ORDER BY h.kind, h.id, h.config_version DESC
            ) AS e
            WHERE e.body IS NOT NULL
        ), '[]')
    )
    FROM public.configuration_state AS state
$$;
COMMENT ON FUNCTION centralcloud.configuration_at IS
    'the entries of the configuration as they were at a version, and the version of now';
