-- Instances that use every score that was published at least a second ago, those that use the newest one, and its version.
SELECT
    (
        SELECT count(*) FROM public.instances
        WHERE applied_version >= (
            SELECT coalesce(max(version), 0) FROM public.model_score_history
            WHERE created_at < clock_timestamp() - interval '1 second'
        )
    ) AS in_sync,
    (SELECT count(*) FROM public.instances WHERE applied_version >= (SELECT coalesce(max(version), 0) FROM public.model_scores))
        AS at_newest,
    (SELECT coalesce(max(version), 0) FROM public.model_scores) AS newest_version;
