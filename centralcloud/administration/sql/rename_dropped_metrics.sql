-- Adds the counters of pairs that both models have. Served by the primary key.
WITH gone AS (
    DELETE FROM dropped_metrics WHERE model_name = %(old)s RETURNING *
)
INSERT INTO dropped_metrics AS m (
    model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
    last_reported_msg_id
)
SELECT
    %(new)s, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
    last_reported_msg_id
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
    last_reported_msg_id = greatest(m.last_reported_msg_id, excluded.last_reported_msg_id);
