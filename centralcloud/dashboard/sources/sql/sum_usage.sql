-- The use of the last 24 hours, by workspace, policy, task type and model, from the sums of maintenance: a range of the primary
-- key of usage_roll_ups. Reads no record.
SELECT
    CASE
        WHEN grouping(workspace) = 0 THEN 'workspace'
        WHEN grouping(policy) = 0 THEN 'policy'
        WHEN grouping(task_type) = 0 THEN 'task_type'
        WHEN grouping(model_name) = 0 THEN 'model'
        ELSE 'all'
    END AS dimension,
    coalesce(workspace, policy, task_type, model_name, '') AS name,
    sum(requests)::bigint AS requests,
    sum(attempts)::bigint AS calls,
    sum(successes)::bigint AS successes,
    sum(failures)::bigint AS failures,
    sum(blameless)::bigint AS blameless,
    (sum(response_time_sum_ms) / nullif(sum(response_time_count), 0))::double precision AS mean_ms,
    sum(cost_nano_usd)::bigint AS cost_nano_usd
FROM public.usage_roll_ups
WHERE window_start > now() - interval '24 hours'
    AND (%(workspace)s::text IS NULL OR workspace = %(workspace)s)
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(task_type)s::text IS NULL OR task_type = %(task_type)s)
    AND (%(model)s::text IS NULL OR model_name = %(model)s)
GROUP BY GROUPING SETS ((), (workspace), (policy), (task_type), (model_name))
HAVING count(*) > 0
ORDER BY 1, 3 DESC, 2
LIMIT 500;
