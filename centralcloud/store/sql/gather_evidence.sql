-- The evidence of one slice, from its records, whose ids lie between those of the neighbours. Served by the primary key of each
-- partition: the cost is that of the slice's own records. Times are those of outcomes that speak of the model.
INSERT INTO evidence (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms, cost_count,
    capped_cost_sum_usd, late
)
SELECT
    slice_no, model, complexity, provider, instance_id,
    count(*) FILTER (WHERE outcome = 'routed'),
    count(*) FILTER (WHERE outcome = 'success'),
    count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless),
    count(*) FILTER (WHERE outcome = 'failure' AND blameless),
    count(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless),
    coalesce(sum(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0),
    coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    coalesce(sum(cost_usd), 0),
    coalesce(sum(least(response_time_ms, latency_ref_ms)) FILTER (
        WHERE outcome <> 'routed' AND NOT blameless AND response_time_ms IS NOT NULL
    ), 0),
    count(cost_usd) FILTER (WHERE outcome <> 'routed' AND NOT blameless),
    coalesce(sum(least(cost_usd, cost_ref_usd)) FILTER (
        WHERE outcome <> 'routed' AND NOT blameless AND cost_usd IS NOT NULL
    ), 0),
    count(*) FILTER (WHERE outcome <> 'routed' AND NOT blameless AND created_at - timestamp > interval '1 hour')
FROM (
    SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
    FROM routing_records
    WHERE slice_no = %(slice_no)s
      AND id > (SELECT after_record_id FROM evidence_slices WHERE slice_no = %(slice_no)s)
      AND id <= coalesce(
          (SELECT after_record_id FROM evidence_slices WHERE slice_no = %(slice_no)s + 1), 9223372036854775807
      )
) AS record
JOIN evidence_slices USING (slice_no)
GROUP BY slice_no, model, complexity, provider, instance_id;
