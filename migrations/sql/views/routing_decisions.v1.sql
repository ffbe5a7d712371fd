-- One row a request. A decision without a request is a request by itself, and so is a record with neither id. Several events
-- of one decision: the first one that has a field gives it; cost, tokens, times, reward and finish reason are those of the outcome,
-- where it has them. With a condition on request_id it is served by idx_routing_records_request_id; else it reads every record.
CREATE VIEW routing_decisions AS
SELECT
    request.id,
    request.timestamp,
    request.objective,
    request.task_type,
    coalesce(complexity_level_10, CASE request.complexity WHEN 'simple' THEN 2 WHEN 'medium' THEN 5 ELSE 8 END)::integer
        AS complexity,
    selected_model,
    coalesce(reasoning, plan.plan ->> 'reason', 'rule ' || rule, 'policy ' || policy) AS reasoning,
    estimated_cost,
    actual_cost,
    execution_time,
    estimated_time,
    success,
    tokens_used,
    request.request_id,
    attempts,
    instance_id,
    decision_id,
    workspace,
    reward,
    finish_reason
FROM (
    SELECT
        request_id,
        min(id) AS id,
        min(timestamp) AS timestamp,
        count(*) AS attempts,
        max(objective) AS objective,
        (array_agg(reasoning ORDER BY attempt DESC NULLS LAST, id DESC) FILTER (WHERE reasoning IS NOT NULL))[1] AS reasoning,
        (array_agg(task_type ORDER BY attempt NULLS LAST, id) FILTER (WHERE task_type IS NOT NULL))[1] AS task_type,
        (array_agg(complexity ORDER BY attempt NULLS LAST, id))[1] AS complexity,
        (array_agg(complexity_level_10 ORDER BY attempt NULLS LAST, id) FILTER (WHERE complexity_level_10 IS NOT NULL))[1]
            AS complexity_level_10,
        (array_agg(rule ORDER BY attempt NULLS LAST, id) FILTER (WHERE rule IS NOT NULL))[1] AS rule,
        (array_agg(policy ORDER BY attempt NULLS LAST, id) FILTER (WHERE policy IS NOT NULL))[1] AS policy,
        (array_agg(workspace ORDER BY attempt NULLS LAST, id) FILTER (WHERE workspace IS NOT NULL))[1] AS workspace,
        (array_agg(model ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS selected_model,
        (array_agg(instance_id ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS instance_id,
        (array_agg(decision_id ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS decision_id,
        (array_agg(success ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS success,
        (array_agg(reward ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS reward,
        (array_agg(finish_reason ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS finish_reason,
        (array_agg(estimated_cost_usd ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS estimated_cost,
        (array_agg(estimated_ms ORDER BY attempt DESC NULLS LAST, id DESC))[1] / 1000.0::double precision AS estimated_time,
        (sum(coalesce(cost_nano_usd::numeric, cost_usd::numeric * 1000000000)) / 1000000000)::double precision AS actual_cost,
        sum(response_time_ms) / 1000.0::double precision AS execution_time,
        sum(tokens)::bigint AS tokens_used
    FROM (
        SELECT
            request_id,
            instance_id,
            decision_id,
            min(id) AS id,
            min(timestamp) AS timestamp,
            min(attempt) AS attempt,
            min(model) AS model,
            min(complexity) AS complexity,
            max(extra ->> 'objective') AS objective,
            max(extra ->> 'reasoning') AS reasoning,
            coalesce(max(task_type) FILTER (WHERE outcome = 'routed'), max(task_type)) AS task_type,
            coalesce(max(complexity_level_10) FILTER (WHERE outcome = 'routed'), max(complexity_level_10)) AS complexity_level_10,
            coalesce(max(rule) FILTER (WHERE outcome = 'routed'), max(rule)) AS rule,
            coalesce(max(policy) FILTER (WHERE outcome = 'routed'), max(policy)) AS policy,
            coalesce(max(workspace) FILTER (WHERE outcome = 'routed'), max(workspace)) AS workspace,
            coalesce(max(estimated_cost_usd) FILTER (WHERE outcome = 'routed'), max(estimated_cost_usd)) AS estimated_cost_usd,
            coalesce(max(estimated_ms) FILTER (WHERE outcome = 'routed'), max(estimated_ms)) AS estimated_ms,
            coalesce(max(cost_nano_usd) FILTER (WHERE outcome <> 'routed'), max(cost_nano_usd)) AS cost_nano_usd,
            coalesce(max(cost_usd) FILTER (WHERE outcome <> 'routed'), max(cost_usd)) AS cost_usd,
            coalesce(max(response_time_ms) FILTER (WHERE outcome <> 'routed'), max(response_time_ms)) AS response_time_ms,
            coalesce(max(reward) FILTER (WHERE outcome <> 'routed'), max(reward)) AS reward,
            coalesce(max(finish_reason) FILTER (WHERE outcome <> 'routed'), max(finish_reason)) AS finish_reason,
            coalesce(
                max(coalesce(input_tokens, output_tokens - output_tokens)::bigint + coalesce(output_tokens, 0))
                    FILTER (WHERE outcome <> 'routed'),
                max(coalesce(input_tokens, output_tokens - output_tokens)::bigint + coalesce(output_tokens, 0))
            ) AS tokens,
            CASE WHEN bool_or(outcome = 'success') THEN true WHEN bool_or(outcome = 'failure') THEN false END AS success
        FROM routing_records
        GROUP BY
            request_id,
            instance_id,
            decision_id,
            CASE WHEN decision_id IS NULL THEN attempt END,
            CASE WHEN decision_id IS NULL AND request_id IS NULL THEN id END
    ) AS decision
    GROUP BY
        request_id,
        CASE WHEN request_id IS NULL THEN instance_id END,
        CASE WHEN request_id IS NULL THEN decision_id END,
        CASE WHEN request_id IS NULL AND decision_id IS NULL THEN id END
) AS request
LEFT JOIN request_plans plan ON plan.request_id = request.request_id;
COMMENT ON VIEW routing_decisions IS 'one row a request: the model of its last attempt, the sums of cost (USD), time (s) and tokens of all';
