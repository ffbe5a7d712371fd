-- Gives the rows of some models the name of another one, and adds up those of equal keys. Served by the primary key.
WITH gone AS (
    DELETE FROM public.dropped_evidence WHERE model_name = ANY (%(old)s) RETURNING *
)
INSERT INTO public.dropped_evidence AS e (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms, cost_count,
    capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
)
SELECT
    slice_no, %(new)s, complexity_level, provider, instance_id,
    sum(routed), sum(successes), sum(failures), sum(blameless),
    sum(response_time_count), sum(response_time_sum_ms), sum(input_tokens), sum(output_tokens),
    sum(cost_usd), sum(capped_response_time_sum_ms), sum(cost_count), sum(capped_cost_sum_usd),
    sum(late), sum(graded_successes), sum(graded_reward), sum(graded_reward_squares)
FROM gone
GROUP BY slice_no, complexity_level, provider, instance_id
ON CONFLICT (model_name, complexity_level, slice_no, provider, instance_id) DO UPDATE SET
    routed = e.routed + excluded.routed,
    successes = e.successes + excluded.successes,
    failures = e.failures + excluded.failures,
    blameless = e.blameless + excluded.blameless,
    response_time_count = e.response_time_count + excluded.response_time_count,
    response_time_sum_ms = e.response_time_sum_ms + excluded.response_time_sum_ms,
    input_tokens = e.input_tokens + excluded.input_tokens,
    output_tokens = e.output_tokens + excluded.output_tokens,
    cost_usd = e.cost_usd + excluded.cost_usd,
    capped_response_time_sum_ms = e.capped_response_time_sum_ms + excluded.capped_response_time_sum_ms,
    cost_count = e.cost_count + excluded.cost_count,
    capped_cost_sum_usd = e.capped_cost_sum_usd + excluded.capped_cost_sum_usd,
    late = e.late + excluded.late,
    graded_successes = e.graded_successes + excluded.graded_successes,
    graded_reward = e.graded_reward + excluded.graded_reward,
    graded_reward_squares = e.graded_reward_squares + excluded.graded_reward_squares;
