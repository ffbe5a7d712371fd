-- Adds a batch to the lifetime counters. Served by the unique key; the keys are sorted. The columns are JSON arrays, which the
-- client encodes twenty times as fast as PostgreSQL arrays.
INSERT INTO model_routing_metrics AS m (
    model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, response_times,
    last_reported_score, last_reported_msg_id
)
SELECT
    model, complexity, routed::bigint, successes::bigint, failures::bigint, blameless::bigint, linked_decisions::bigint,
    unlinked_routed::bigint, unlinked_resolved::bigint, times::bigint, times_sum::bigint, newest_times::integer[],
    score::double precision, msg_id::bigint
FROM ROWS FROM (
    json_array_elements_text(%(model)s),
    json_array_elements_text(%(complexity)s),
    json_array_elements_text(%(routed)s),
    json_array_elements_text(%(successes)s),
    json_array_elements_text(%(failures)s),
    json_array_elements_text(%(blameless)s),
    json_array_elements_text(%(linked_decisions)s),
    json_array_elements_text(%(unlinked_routed)s),
    json_array_elements_text(%(unlinked_resolved)s),
    json_array_elements_text(%(times)s),
    json_array_elements_text(%(times_sum)s),
    json_array_elements_text(%(newest_times)s),
    json_array_elements_text(%(score)s),
    json_array_elements_text(%(msg_id)s)
) AS batch (
    model, complexity, routed, successes, failures, blameless, linked_decisions, unlinked_routed, unlinked_resolved,
    times, times_sum, newest_times, score, msg_id
)
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
    response_times = (m.response_times || excluded.response_times)[
        greatest(1, cardinality(m.response_times) + cardinality(excluded.response_times) - 99):
    ],
    last_reported_score = CASE
        WHEN excluded.last_reported_msg_id > m.last_reported_msg_id THEN excluded.last_reported_score
        ELSE m.last_reported_score
    END,
    last_reported_msg_id = greatest(m.last_reported_msg_id, excluded.last_reported_msg_id),
    updated_at = now();
