-- Adds the counters of pairs that both models have. Served by the primary key.
WITH gone AS (
    DELETE FROM public.dropped_metrics WHERE model_name = %(old)s RETURNING *
)
SELECT centralcloud.add_dropped_metrics(array_agg(ROW(
    %(new)s, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, '{}',
    last_reported_score, last_reported_msg_id, now()
)::centralcloud.metric_delta))
FROM gone;
