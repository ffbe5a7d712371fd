-- The runs of the learner within 24 hours, in one row: the newest 5,000, by the primary key backwards.
SELECT
    count(*)::integer AS runs,
    (count(*) FILTER (WHERE pairs_changed > 0))::integer AS publishing,
    (count(*) FILTER (WHERE excluded_instances <> '{}'))::integer AS excluding,
    max(finished_at) AS last_at,
    coalesce(sum(pairs_changed), 0)::integer AS pairs_changed
FROM (
    SELECT finished_at, pairs_changed, excluded_instances FROM public.learning_runs ORDER BY run_id DESC LIMIT 5000
) AS newest
WHERE finished_at > now() - interval '24 hours';
