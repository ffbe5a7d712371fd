-- Adds a batch to the open slice. Served by the primary key; keys come sorted.
INSERT INTO evidence AS e (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd
)
SELECT %(slice_no)s::bigint, batch.*
FROM unnest(
    %(model)s::varchar[], %(complexity)s::varchar[], %(provider)s::varchar[], %(instance_id)s::varchar[],
    %(routed)s::bigint[], %(successes)s::bigint[], %(failures)s::bigint[], %(blameless)s::bigint[],
    %(times)s::bigint[], %(times_sum)s::bigint[], %(input_tokens)s::bigint[], %(output_tokens)s::bigint[],
    %(cost_usd)s::double precision[]
) AS batch
ON CONFLICT (model_name, complexity_level, slice_no, provider, instance_id) DO UPDATE SET
    routed = e.routed + excluded.routed,
    successes = e.successes + excluded.successes,
    failures = e.failures + excluded.failures,
    blameless = e.blameless + excluded.blameless,
    response_time_count = e.response_time_count + excluded.response_time_count,
    response_time_sum_ms = e.response_time_sum_ms + excluded.response_time_sum_ms,
    input_tokens = e.input_tokens + excluded.input_tokens,
    output_tokens = e.output_tokens + excluded.output_tokens,
    cost_usd = e.cost_usd + excluded.cost_usd;
