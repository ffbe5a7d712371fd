-- Adds to the counters of one pair the difference that a recount found; ingest may have added to them meanwhile.
-- Served by the unique key.
INSERT INTO model_routing_metrics AS m (
    model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
    last_reported_msg_id
) VALUES (
    %(model_name)s, %(complexity_level)s, %(routed_count)s, %(success_count)s, %(failure_count)s, %(blameless_count)s,
    %(linked_decision_count)s, %(unlinked_routed_count)s, %(unlinked_resolved_count)s, %(response_time_count)s,
    %(response_time_sum_ms)s, %(last_reported_score)s, %(last_reported_msg_id)s
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
    -- Unless a newer message has arrived since the recount: its score is right.
    last_reported_score = CASE
        WHEN m.last_reported_msg_id IS NOT DISTINCT FROM %(stored_msg_id)s::bigint THEN excluded.last_reported_score
        ELSE m.last_reported_score
    END,
    last_reported_msg_id = CASE
        WHEN m.last_reported_msg_id IS NOT DISTINCT FROM %(stored_msg_id)s::bigint THEN excluded.last_reported_msg_id
        ELSE m.last_reported_msg_id
    END;
