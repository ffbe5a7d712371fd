CREATE OR REPLACE FUNCTION centralcloud.configuration_since(after_version bigint, after_health bigint DEFAULT 0) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by the index of configuration_entries on config_version. After version 0 it is the whole configuration, without
    -- the entries that were removed.
    SELECT jsonb_build_object(
        'epoch', centralcloud.epoch(),
        'version', state.config_version,
        'stamp', (SELECT v.stamp FROM public.configuration_versions AS v WHERE v.config_version = state.config_version),
        'stamp_after', (SELECT v.stamp FROM public.configuration_versions AS v WHERE v.config_version = after_version),
        'entries', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('kind', e.kind, 'id', e.id, 'version', e.config_version, 'body', e.body)
                ORDER BY e.kind, e.id
            )
            FROM public.configuration_entries AS e
            WHERE e.config_version > after_version AND (after_version > 0 OR e.body IS NOT NULL)
        ), '[]'),
        'health_version', state.health_version,
        -- How long the daemon has not looked after the experiments, or after one of those that run, whose folds may fail
        -- while the others go on; null: it never has. Served by the primary keys.
        'experiments_silent_seconds', (
            SELECT extract(epoch FROM now() - least(heartbeat.seen_at, (
                SELECT min(CASE
                    WHEN progress.began = (e.body -> 'stage' ->> 'began')::timestamptz THEN progress.updated_at
                    ELSE (e.body -> 'stage' ->> 'began')::timestamptz
                END)
                FROM public.configuration_entries AS e
                LEFT JOIN public.experiment_progress AS progress ON progress.experiment_id = e.id
                WHERE e.kind = 'experiment' AND e.body -> 'stage' ->> 'status' = 'running'
            )))
            FROM public.experiment_heartbeat AS heartbeat
            WHERE heartbeat.seen_at IS NOT NULL
        ),
        'health', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object(
                    'model', h.model_id, 'body', h.body, 'reported_at', h.reported_at,
                    'ttl_seconds', extract(epoch FROM h.expires_at - now())
                )
                ORDER BY h.model_id
            )
            FROM public.model_health AS h
            WHERE h.health_version > after_health AND h.expires_at > now()
        ), '[]')
    )
    FROM public.configuration_state AS state
$$;
COMMENT ON FUNCTION centralcloud.configuration_since IS
    'the entries of the configuration that changed after a version, and the health that was reported after one; 0: everything. stamp_after is the stamp of after_version: where it differs from the one that was received with it, read again after 0. experiments_silent_seconds: since a daemon has looked after each that runs';
