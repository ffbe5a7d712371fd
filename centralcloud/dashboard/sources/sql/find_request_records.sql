-- The events of a request, in the order of arrival. Served by idx_routing_records_request_id, in each partition. The bound is for
-- events with a made-up id: a request makes at most 20 attempts, with two events each.
SELECT
    timestamp, created_at, instance_id, decision_id, attempt, outcome, model, provider, model_version, error_kind,
    estimated_ms, response_time_ms, first_token_ms, input_tokens, output_tokens,
    coalesce(cost_nano_usd, round(cost_usd::numeric * 1000000000))::bigint AS cost_nano_usd,
    round(estimated_cost_usd::numeric * 1000000000)::bigint AS estimated_nano_usd,
    finish_reason, reward, score, score_version, propensity, complexity, complexity_level_10 AS complexity_of_10, task_type,
    agent_type, workspace, policy, rule, classifier, experiment, arm, feedback_until
FROM public.routing_records
WHERE request_id = %(request_id)s
ORDER BY id
LIMIT 100;
