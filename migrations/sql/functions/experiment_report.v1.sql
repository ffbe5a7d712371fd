CREATE OR REPLACE FUNCTION centralcloud.experiment_report(wanted_id text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- For gateways, which read no table: the results of the moment and the verdicts, of one experiment or of all.
    SELECT jsonb_build_object(
        'results', coalesce((
            SELECT jsonb_agg(to_jsonb(each) ORDER BY each.experiment_id, each.treatment, each.metric)
            FROM public.experiment_results AS each
            WHERE experiment_report.wanted_id IS NULL OR each.experiment_id = experiment_report.wanted_id
        ), '[]'),
        'verdicts', coalesce((
            SELECT jsonb_agg(to_jsonb(each) ORDER BY each.id)
            FROM public.experiment_verdicts AS each
            WHERE experiment_report.wanted_id IS NULL OR each.experiment_id = experiment_report.wanted_id
        ), '[]'),
        'seen_at', (SELECT seen_at FROM public.experiment_heartbeat)
    )
$$;
COMMENT ON FUNCTION centralcloud.experiment_report IS
    'the results of experiments as of now, their verdicts, and when the daemon folded last: of one experiment, or of all';
