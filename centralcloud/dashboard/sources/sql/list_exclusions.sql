-- Instances that runs of the learner of the last 7 days left out, the newest first: of the newest 20,000 runs, by the primary
-- key backwards. Runs that published nothing are kept for a day.
SELECT instance_id, rule, min(finished_at) AS first_at, max(finished_at) AS last_at, count(*)::integer AS runs
FROM (
    SELECT rule, finished_at, excluded_instances FROM public.learning_runs ORDER BY run_id DESC LIMIT 20000
) AS newest
CROSS JOIN LATERAL unnest(excluded_instances) AS instance_id
WHERE finished_at > now() - interval '7 days'
GROUP BY instance_id, rule
ORDER BY last_at DESC, instance_id, rule
LIMIT 100;
