-- The state of the fleet, in one row. Reads small tables completely, and the newest rows of large ones by their indexes.
SELECT
    (
        SELECT coalesce(json_agg(json_build_object(
            'host', host, 'process', process, 'started_at', started_at, 'seen_at', seen_at,
            'running', abs(extract(epoch FROM now() - seen_at)) < %(worker_seconds)s  -- later: of a clock that was ahead
        )
            ORDER BY worker_id), '[]') FROM public.ingest_workers
    ) AS workers,
    (
        SELECT row_to_json(run) FROM (
            -- A run that publishes in parts has a row for each 1,000 pairs: those with the rule and start of the newest row.
            SELECT
                newest.run_id, rule, newest.finished_at, sum(part.pairs_evaluated) AS pairs_evaluated,
                sum(part.pairs_changed) AS pairs_changed, newest.excluded_instances
            FROM (SELECT * FROM public.learning_runs ORDER BY run_id DESC LIMIT 1) AS newest
            JOIN public.learning_runs part USING (rule, started_at)
            WHERE part.run_id BETWEEN newest.run_id - 1000 AND newest.run_id  -- by the primary key
            GROUP BY newest.run_id, rule, newest.finished_at, newest.excluded_instances
        ) AS run
    ) AS last_run,
    (SELECT json_build_object('at', frozen_at, 'reason', frozen_reason) FROM public.learning_control WHERE frozen_at IS NOT NULL)
        AS frozen,
    (SELECT count(*) FROM public.score_pins WHERE expires_at IS NULL OR expires_at > now()) AS pins,
    (SELECT coalesce(max(version), 0) FROM public.model_scores) AS newest_version,
    (SELECT count(*) FROM public.instances WHERE last_seen_at > now() - interval '1 day') AS instances,
    (
        SELECT coalesce(json_agg(json_build_object(
            'instance_id', instance_id, 'applied_version', applied_version, 'last_seen_at', last_seen_at
        ) ORDER BY applied_version, instance_id), '[]')
        FROM public.instances
        WHERE last_seen_at > now() - interval '1 day'
          AND applied_version < (SELECT coalesce(max(version), 0) FROM public.model_scores)
    ) AS instances_behind,
    (
        SELECT coalesce(json_object_agg(field, number ORDER BY number DESC, field), '{}')
        FROM (SELECT field, count(*) AS number FROM public.dead_letters WHERE resolution IS NULL GROUP BY field) AS by_field
    ) AS dead_letters,
    (
        SELECT coalesce(json_agg(json_build_object(
            'kind', kind, 'subject', subject, 'message', message, 'opened_at', opened_at, 'traffic_share', traffic_share
        ) ORDER BY traffic_share DESC NULLS FIRST, opened_at DESC, finding_id DESC), '[]')
        FROM public.findings WHERE closed_at IS NULL
    ) AS findings;
