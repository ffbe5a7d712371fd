-- Adds the counters of pairs that both models have. Their newest response times are read again afterwards. Served by the unique
-- key.
WITH gone AS (
    DELETE FROM public.model_routing_metrics WHERE model_name = %(old)s RETURNING *
)
SELECT centralcloud.add_metrics(array_agg(ROW(
    %(new)s, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, response_times,
    last_reported_score, last_reported_msg_id, updated_at
)::centralcloud.metric_delta))
FROM gone;
