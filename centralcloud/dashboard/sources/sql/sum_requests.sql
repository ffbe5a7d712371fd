-- The requests of the last hour by their end: all of them, and by workspace, policy, task type, rule, and gateway. Requests of
-- gateways have ids in the order of time (UUID of version 7), so that idx_routing_records_request_id finds those of an hour:
-- the newest 40,000 events at most. created_at leaves out the partitions of other weeks.
WITH requests AS (
    SELECT
        max(attempt) AS attempts,
        max(workspace) AS workspace,
        max(policy) AS policy,
        max(task_type) AS task_type,
        max(rule) AS rule,
        max(instance_id) AS gateway,
        bool_or(outcome = 'success') AS success,
        bool_or(outcome = 'failure') AS failure,
        bool_or(outcome = 'failure' AND error_kind IN ('caller', 'policy')) AS blameless,
        sum(response_time_ms) AS total_ms,
        min(first_token_ms) AS first_token_ms,
        sum(cost_nano_usd) AS cost_nano_usd,
        min(timestamp) AS at
    FROM (
        SELECT
            request_id, attempt, outcome, model, workspace, policy, task_type, rule, instance_id, error_kind, response_time_ms,
            first_token_ms, cost_nano_usd, timestamp
        FROM public.routing_records
        WHERE request_id >= (lpad(to_hex((1000 * extract(epoch FROM now() - interval '1 hour'))::bigint), 12, '0') || repeat('0', 20))::uuid
            AND request_id < (lpad(to_hex((1000 * extract(epoch FROM now() + interval '1 hour'))::bigint), 12, '0') || repeat('0', 20))::uuid
            AND created_at > now() - interval '2 hours'
        ORDER BY request_id DESC
        LIMIT 40000
    ) AS record
    GROUP BY request_id
    HAVING (%(workspace)s::text IS NULL OR max(workspace) = %(workspace)s)
        AND (%(policy)s::text IS NULL OR max(policy) = %(policy)s)
        AND (%(task_type)s::text IS NULL OR max(task_type) = %(task_type)s)
        AND (%(model)s::text IS NULL OR bool_or(model = %(model)s))
)
SELECT
    CASE
        WHEN grouping(workspace) = 0 THEN 'workspace'
        WHEN grouping(policy) = 0 THEN 'policy'
        WHEN grouping(task_type) = 0 THEN 'task_type'
        WHEN grouping(rule) = 0 THEN 'rule'
        WHEN grouping(gateway) = 0 THEN 'gateway'
        ELSE 'all'
    END AS dimension,
    coalesce(workspace, policy, task_type, rule, gateway) AS name,
    count(*) AS requests,
    count(*) FILTER (WHERE success AND attempts = 1) AS at_once,
    count(*) FILTER (WHERE success AND attempts > 1) AS failed_over,
    count(*) FILTER (WHERE NOT success AND failure AND NOT blameless) AS failed,
    count(*) FILTER (WHERE NOT success AND blameless) AS blameless,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE success) AS total_p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE success) AS total_p95,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY first_token_ms) FILTER (WHERE success) AS first_token_p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY first_token_ms) FILTER (WHERE success) AS first_token_p95,
    coalesce(sum(cost_nano_usd), 0)::bigint AS cost_nano_usd,
    min(at) AS since
FROM requests
GROUP BY GROUPING SETS ((), (workspace), (policy), (task_type), (rule), (gateway))
ORDER BY 1, 3 DESC, 2
LIMIT 500;
