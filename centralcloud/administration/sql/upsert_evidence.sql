-- The evidence of one closed slice and key, as recounted. Served by the primary key.
INSERT INTO public.evidence AS e (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms, cost_count,
    capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
) VALUES (
    %(slice_no)s, %(model_name)s, %(complexity_level)s, %(provider)s, %(instance_id)s, %(routed)s, %(successes)s,
    %(failures)s, %(blameless)s, %(response_time_count)s, %(response_time_sum_ms)s, %(input_tokens)s, %(output_tokens)s,
    %(cost_usd)s, %(capped_response_time_sum_ms)s, %(cost_count)s, %(capped_cost_sum_usd)s, %(late)s,
    %(graded_successes)s, %(graded_reward)s, %(graded_reward_squares)s
)
ON CONFLICT (model_name, complexity_level, slice_no, provider, instance_id) DO UPDATE SET
    routed = excluded.routed,
    successes = excluded.successes,
    failures = excluded.failures,
    blameless = excluded.blameless,
    response_time_count = excluded.response_time_count,
    response_time_sum_ms = excluded.response_time_sum_ms,
    input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens,
    cost_usd = excluded.cost_usd,
    capped_response_time_sum_ms = excluded.capped_response_time_sum_ms,
    cost_count = excluded.cost_count,
    capped_cost_sum_usd = excluded.capped_cost_sum_usd,
    late = excluded.late,
    graded_successes = excluded.graded_successes,
    graded_reward = excluded.graded_reward,
    graded_reward_squares = excluded.graded_reward_squares;
