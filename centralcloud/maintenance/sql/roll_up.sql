-- Rolls up the records that arrived in a range of full hours. Served by the primary key of each partition, through the
-- slices that were open then: the cost grows with the records of these hours only.
WITH slices AS (
    SELECT
        min(after_record_id) AS after_record_id,
        (SELECT min(later.after_record_id) FROM public.evidence_slices later WHERE later.slice_no > max(s.slice_no)) AS last_record_id
    FROM public.evidence_slices s
    WHERE coalesce(closed_at, 'infinity') >= %(since)s AND (opened_at <= %(until)s + interval '1 hour' OR opened_at > now())
), record AS (
    SELECT
        date_trunc('hour', created_at, 'UTC') AS window_start,
        nullif(coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0), 0) AS tokens,
        model, complexity, provider, instance_id, decision_id, first_of_decision, cost_usd, blameless,
        coalesce(cost_nano_usd, round(cost_usd::numeric * 1000000000)) AS nano_usd,
        outcome = 'routed' AS routed,
        outcome = 'success' AS success,
        outcome = 'failure' AND NOT blameless AS failure,
        CASE WHEN outcome <> 'routed' AND NOT blameless THEN response_time_ms END AS timed_ms
    FROM (
        SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
        FROM public.routing_records
    ) AS r
    WHERE id > (SELECT after_record_id FROM slices)
      AND id <= (SELECT coalesce(last_record_id, 9223372036854775807) FROM slices)
      AND created_at >= %(since)s AND created_at < %(until)s
), hour AS (
    SELECT
        window_start, model, complexity, provider, instance_id,
        count(*) FILTER (WHERE first_of_decision) AS linked,
        count(*) FILTER (WHERE decision_id IS NULL AND routed) AS unlinked_routed,
        count(*) FILTER (WHERE decision_id IS NULL AND NOT routed) AS unlinked_resolved,
        count(*) FILTER (WHERE success) AS successes,
        count(*) FILTER (WHERE failure) AS failures,
        count(*) FILTER (WHERE blameless) AS blameless,
        avg(timed_ms) AS avg_ms,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY timed_ms) AS percentiles,
        coalesce(sum(cost_usd), 0) AS cost,
        coalesce(sum(nano_usd), 0) AS cost_nano_usd,
        coalesce(sum(tokens), 0) AS tokens,
        avg(tokens) AS avg_tokens
    FROM record
    GROUP BY window_start, model, complexity, provider, instance_id
)
INSERT INTO public.model_performance (
    window_start, window_end, model_name, complexity_level, provider, instance_id, total_requests, successful_requests,
    failed_requests, blameless_requests, avg_response_time_ms, p50_response_time_ms, p95_response_time_ms,
    p99_response_time_ms, total_cost, total_tokens, avg_tokens_used, cost_nano_usd, id
)
SELECT
    window_start, window_start + interval '1 hour', model, complexity, provider, instance_id,
    linked + greatest(unlinked_routed, unlinked_resolved), successes, failures, blameless, avg_ms,
    percentiles[1], percentiles[2], percentiles[3], cost, tokens, avg_tokens, cost_nano_usd,
    centralcloud.usage_key(ARRAY[extract(epoch FROM window_start)::text, model, complexity, provider, instance_id])
FROM hour;
