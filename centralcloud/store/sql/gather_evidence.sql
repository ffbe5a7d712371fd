-- The evidence of one slice, from its records, whose ids lie between those of the neighbours. Served by the primary key of each
-- partition: the cost is that of the slice's own records. Times and costs are those of successes and failures.
INSERT INTO public.evidence (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms, cost_count,
    capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
)
SELECT
    slice_no, model, complexity, provider, instance_id,
    count(*) FILTER (WHERE routed),
    count(*) FILTER (WHERE success),
    count(*) FILTER (WHERE failure),
    count(*) FILTER (WHERE blameless),
    count(timed_ms),
    coalesce(sum(timed_ms), 0),
    coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    coalesce(sum(cost_usd), 0),
    coalesce(sum(least(timed_ms, latency_ref_ms)) FILTER (WHERE timed_ms IS NOT NULL), 0),
    count(priced_usd),
    coalesce(sum(least(priced_usd, cost_ref_usd)) FILTER (WHERE priced_usd IS NOT NULL), 0),
    count(*) FILTER (WHERE late),
    count(graded) FILTER (WHERE success),
    coalesce(sum(graded), 0),
    coalesce(sum(graded * graded), 0)
FROM public.evidence_of_records
JOIN public.evidence_slices USING (slice_no)
WHERE slice_no = %(slice_no)s
  AND id > (SELECT after_record_id FROM public.evidence_slices WHERE slice_no = %(slice_no)s)
  AND id <= coalesce(
      (SELECT after_record_id FROM public.evidence_slices WHERE slice_no = %(slice_no)s + 1), 9223372036854775807
  )
GROUP BY slice_no, model, complexity, provider, instance_id;
