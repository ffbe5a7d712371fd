-- Adds the counters of pairs that both models have. Their newest response times are read again afterwards. Served by the unique
-- key.
WITH gone AS (
    DELETE FROM model_routing_metrics WHERE model_name = %(old)s RETURNING *
)
INSERT INTO model_routing_metrics AS m (
    model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
    last_reported_msg_id, response_times, updated_at
)
SELECT
    %(new)s, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
    last_reported_msg_id, response_times, updated_at
FROM gone
ON CONFLICT (model_name, complexity_level) DO UPDATE SET
    routed_count = m.routed_count + excluded.routed_count,
    success_count = m.success_count + excluded.success_count,
    failure_count = m.failure_count + excluded.failure_count,
    blameless_count = m.blameless_count + excluded.blameless_count,
    linked_decision_count = m.linked_decision_count + excluded.linked_decision_count,
    unlinked_routed_count = m.unlinked_routed_count + excluded.unlinked_routed_count,
    unlinked_resolved_count = m.unlinked_resolved_count + excluded.unlinked_resolved_count,
    response_time_count = m.response_time_count + excluded.response_time_count,
    response_time_sum_ms = m.response_time_sum_ms + excluded.response_time_sum_ms,
    last_reported_score = CASE
        WHEN excluded.last_reported_msg_id > m.last_reported_msg_id OR m.last_reported_msg_id IS NULL
        THEN excluded.last_reported_score ELSE m.last_reported_score
    END,
    last_reported_msg_id = greatest(m.last_reported_msg_id, excluded.last_reported_msg_id),
    updated_at = greatest(m.updated_at, excluded.updated_at);
