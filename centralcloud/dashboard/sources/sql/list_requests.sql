-- The newest requests that fulfil all conditions, at most 50, among the newest `most` events of gateways. Their ids are in the
-- order of time (UUID of version 7): served by idx_routing_records_request_id, backwards.
WITH records AS MATERIALIZED (
    SELECT
        request_id, id, timestamp, attempt, outcome, model, provider, workspace, policy, task_type, complexity, error_kind,
        response_time_ms, first_token_ms, cost_nano_usd, instance_id, finish_reason
    FROM public.routing_records
    WHERE request_id < (lpad(to_hex((1000 * extract(epoch FROM now() + interval '1 hour'))::bigint), 12, '0') || repeat('0', 20))::uuid
        -- An upper bound alone has made-up ids of long ago below it: they come last, beyond the limit.
        AND created_at > now() - interval '8 days'
    ORDER BY request_id DESC
    LIMIT %(most)s
), requests AS (
    SELECT
        request_id::text AS request_id,
        min(timestamp) AS at,
        count(*) FILTER (WHERE outcome = 'routed') AS attempts,
        (array_agg(model ORDER BY attempt DESC, id DESC))[1] AS model,
        (array_agg(provider ORDER BY attempt DESC, id DESC))[1] AS provider,
        max(workspace) AS workspace,
        max(policy) AS policy,
        max(task_type) AS task_type,
        max(complexity) AS complexity,
        bool_or(outcome = 'success') AS success,
        bool_or(outcome = 'failure') AS failure,
        (array_agg(error_kind ORDER BY attempt DESC, id DESC) FILTER (WHERE outcome = 'failure'))[1] AS error_kind,
        bool_or(outcome = 'failure' AND error_kind = 'provider' AND finish_reason IS NOT NULL) AS failed_check,
        sum(response_time_ms)::bigint AS total_ms,
        min(first_token_ms) AS first_token_ms,
        sum(cost_nano_usd)::bigint AS cost_nano_usd,
        min(instance_id) AS gateway
    FROM records
    GROUP BY request_id
    HAVING (%(model)s::text IS NULL OR bool_or(model = %(model)s))
        AND (%(workspace)s::text IS NULL OR max(workspace) = %(workspace)s)
        AND (%(policy)s::text IS NULL OR max(policy) = %(policy)s)
        AND (%(task_type)s::text IS NULL OR max(task_type) = %(task_type)s)
        AND (%(error_kind)s::text IS NULL OR bool_or(error_kind = %(error_kind)s))
        AND CASE coalesce(%(outcome)s::text, '')
            WHEN '' THEN true
            WHEN 'success' THEN bool_or(outcome = 'success') AND max(attempt) = 1
            WHEN 'failed_over' THEN bool_or(outcome = 'success') AND max(attempt) > 1
            WHEN 'failed' THEN bool_or(outcome = 'failure') AND NOT bool_or(outcome = 'success')
            ELSE NOT bool_or(outcome IN ('success', 'failure'))
        END
)
SELECT requests.*, (SELECT count(*) FROM records)::integer AS searched, (SELECT min(timestamp) FROM records) AS searched_since
FROM requests
ORDER BY requests.request_id DESC
LIMIT 50;
