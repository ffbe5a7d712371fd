-- The evidence of one slice, from its records, whose ids lie between those of the neighbours. Served by the primary key of each
-- partition: the cost is that of the slice's own records. Times are those of outcomes that speak of the model.
INSERT INTO evidence (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd
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
    coalesce(sum(cost_usd), 0)
FROM (
    SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
    FROM routing_records
    WHERE slice_no = %(slice_no)s
      AND id > (SELECT after_record_id FROM evidence_slices WHERE slice_no = %(slice_no)s)
      AND id <= coalesce(
          (SELECT after_record_id FROM evidence_slices WHERE slice_no = %(slice_no)s + 1), 9223372036854775807
      )
) AS record
GROUP BY slice_no, model, complexity, provider, instance_id;
