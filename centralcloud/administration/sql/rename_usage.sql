-- Gives the sums of use of some models the name of another one, and adds up equal ones. Reads all of them.
WITH gone AS (
    DELETE FROM public.usage_roll_ups WHERE model_name = ANY (%(old)s) RETURNING *
)
INSERT INTO public.usage_roll_ups AS u (
    window_start, id, workspace, key_id, policy, worker, task_type, complexity, model_name, provider, requests, attempts, successes,
    failures, blameless, without_cost, response_time_count, response_time_sum_ms, input_tokens, output_tokens, timed_tokens,
    generation_ms, feedback_count, feedback_successes, feedback_reward, cost_nano_usd
)
SELECT
    window_start, centralcloud.usage_key(ARRAY[workspace, key_id, policy, worker, task_type, %(new)s::text, provider, complexity]),
    workspace, key_id, policy, worker, task_type, complexity, %(new)s::text, provider, sum(requests), sum(attempts), sum(successes), sum(failures), sum(blameless),
    sum(without_cost), sum(response_time_count), sum(response_time_sum_ms), sum(input_tokens), sum(output_tokens),
    sum(timed_tokens), sum(generation_ms), sum(feedback_count), sum(feedback_successes), sum(feedback_reward),
    sum(cost_nano_usd)
FROM gone
GROUP BY window_start, workspace, key_id, policy, worker, task_type, complexity, provider
ON CONFLICT (window_start, id) DO UPDATE SET
    requests = u.requests + excluded.requests,
    attempts = u.attempts + excluded.attempts,
    successes = u.successes + excluded.successes,
    failures = u.failures + excluded.failures,
    blameless = u.blameless + excluded.blameless,
    without_cost = u.without_cost + excluded.without_cost,
    response_time_count = u.response_time_count + excluded.response_time_count,
    response_time_sum_ms = u.response_time_sum_ms + excluded.response_time_sum_ms,
    input_tokens = u.input_tokens + excluded.input_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    timed_tokens = u.timed_tokens + excluded.timed_tokens,
    generation_ms = u.generation_ms + excluded.generation_ms,
    feedback_count = u.feedback_count + excluded.feedback_count,
    feedback_successes = u.feedback_successes + excluded.feedback_successes,
    feedback_reward = u.feedback_reward + excluded.feedback_reward,
    cost_nano_usd = u.cost_nano_usd + excluded.cost_nano_usd;
