-- The counters of each pair. One row a pair. late_count is the sum over all evidence, as of the last closed slice.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    usage_count,
    routed_count,
    success_count,
    failure_count,
    blameless_count,
    success_count::double precision / nullif(success_count + failure_count, 0) AS success_rate,
    success_count::double precision / nullif(usage_count, 0) AS success_per_use,
    avg_response_time,
    response_time_count,
    response_time_sum_ms,
    last_reported_score,
    updated_at,
    coalesce(late_count, 0) AS late_count,
    greatest(
        0, linked_decision_count - (success_count + failure_count + blameless_count - unlinked_resolved_count)
    )::double precision / nullif(linked_decision_count, 0) AS unresolved_rate
FROM public.model_routing_metrics
LEFT JOIN (
    SELECT model_name, complexity_level, sum(late)::bigint AS late_count FROM public.evidence GROUP BY model_name, complexity_level
) AS gathered USING (model_name, complexity_level)
ORDER BY model_name, array_position(ARRAY['simple', 'medium', 'complex'], complexity_level::text);
