-- The evidence that differs from a recount of the records, dropped ones included; null where one side has no row. Only slices
-- whose evidence has been gathered. On purpose not by the view evidence_of_records, from which the evidence was gathered: this
-- shows that the view is right. Goes through all records: for `verify` only.
WITH slice AS (
    SELECT
        generate_series(coalesce(merged_from, slice_no), slice_no) AS slice_no,
        slice_no AS merged_into,
        latency_ref_ms,
        cost_ref_usd
    FROM public.evidence_slices WHERE gathered_at IS NOT NULL
), record AS (
    SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless FROM public.routing_records
), counted AS (
    SELECT
        merged_into AS slice_no,
        model AS model_name,
        complexity AS complexity_level,
        provider,
        instance_id,
        count(*) FILTER (WHERE outcome = 'routed') AS routed,
        count(*) FILTER (WHERE outcome = 'success') AS successes,
        count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless) AS failures,
        count(*) FILTER (WHERE blameless) AS blameless,
        count(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless) AS response_time_count,
        coalesce(sum(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0) AS response_time_sum_ms,
        coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        coalesce(sum(cost_usd), 0) AS cost_usd,
        coalesce(sum(least(response_time_ms, latency_ref_ms)) FILTER (
            WHERE outcome <> 'routed' AND NOT blameless AND response_time_ms IS NOT NULL
        ), 0)
            AS capped_response_time_sum_ms,
        count(cost_usd) FILTER (WHERE outcome <> 'routed' AND NOT blameless) AS cost_count,
        coalesce(sum(least(cost_usd, cost_ref_usd)) FILTER (
            WHERE outcome <> 'routed' AND NOT blameless AND cost_usd IS NOT NULL
        ), 0)
            AS capped_cost_sum_usd,
        count(*) FILTER (WHERE outcome <> 'routed' AND NOT blameless AND created_at - timestamp > interval '1 hour') AS late,
        count(reward) FILTER (WHERE outcome = 'success') AS graded_successes,
        coalesce(sum(reward) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0) AS graded_reward,
        coalesce(sum(reward ^ 2) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0) AS graded_reward_squares
    FROM record JOIN slice USING (slice_no)
    GROUP BY merged_into, model, complexity, provider, instance_id
    UNION ALL
    SELECT
        slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
        response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms,
        cost_count, capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
    FROM public.dropped_evidence
), recount AS (
    SELECT
        slice_no,
        model_name,
        complexity_level,
        provider,
        instance_id,
        sum(routed)::bigint AS routed,
        sum(successes)::bigint AS successes,
        sum(failures)::bigint AS failures,
        sum(blameless)::bigint AS blameless,
        sum(response_time_count)::bigint AS response_time_count,
        sum(response_time_sum_ms)::bigint AS response_time_sum_ms,
        sum(input_tokens)::bigint AS input_tokens,
        sum(output_tokens)::bigint AS output_tokens,
        sum(cost_usd) AS cost_usd,
        sum(capped_response_time_sum_ms)::bigint AS capped_response_time_sum_ms,
        sum(cost_count)::bigint AS cost_count,
        sum(capped_cost_sum_usd) AS capped_cost_sum_usd,
        sum(late)::bigint AS late,
        sum(graded_successes)::bigint AS graded_successes,
        sum(graded_reward) AS graded_reward,
        sum(graded_reward_squares) AS graded_reward_squares
    FROM counted
    GROUP BY slice_no, model_name, complexity_level, provider, instance_id
), stored AS (
    SELECT
        slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
        response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms,
        cost_count, capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
    FROM public.evidence
)
SELECT
    json_build_object(
        'slice_no', slice_no, 'model_name', model_name, 'complexity_level', complexity_level, 'provider', provider,
        'instance_id', instance_id
    ) AS key,
    CASE WHEN s.slice_no IS NOT NULL THEN to_json(s) END AS stored,
    CASE WHEN r.slice_no IS NOT NULL THEN to_json(r) END AS recount
FROM stored s FULL JOIN recount r USING (slice_no, model_name, complexity_level, provider, instance_id)
WHERE s.slice_no IS NULL OR r.slice_no IS NULL
   OR (s.routed, s.successes, s.failures, s.blameless, s.response_time_count, s.response_time_sum_ms, s.input_tokens,
       s.output_tokens, s.capped_response_time_sum_ms, s.cost_count, s.late, s.graded_successes)
   <> (r.routed, r.successes, r.failures, r.blameless, r.response_time_count, r.response_time_sum_ms, r.input_tokens,
       r.output_tokens, r.capped_response_time_sum_ms, r.cost_count, r.late, r.graded_successes)
   OR abs(s.capped_cost_sum_usd - r.capped_cost_sum_usd) > 1e-9 * greatest(1, abs(r.capped_cost_sum_usd))
   OR abs(s.graded_reward - r.graded_reward) > 1e-9 * greatest(1, r.graded_reward)
   OR abs(s.graded_reward_squares - r.graded_reward_squares) > 1e-9 * greatest(1, r.graded_reward_squares)
   OR abs(s.cost_usd - r.cost_usd) > 1e-9 * greatest(1, abs(r.cost_usd))  -- sums of fractions depend on their order
ORDER BY slice_no, model_name COLLATE "C", complexity_level COLLATE "C", provider COLLATE "C", instance_id COLLATE "C";
