CREATE OR REPLACE FUNCTION centralcloud.add_metrics(deltas centralcloud.metric_delta[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
-- Adds to the lifetime counters: one delta a pair, in the order in which the rows are to be locked. Served by the unique key.
-- The last reported score is that of the newer message; a row that does not know its message is the older one, and
-- a delta without a message changes neither.
BEGIN
    INSERT INTO public.model_routing_metrics AS m (
        model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
        unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, response_times,
        last_reported_score, last_reported_msg_id, updated_at
    )
    SELECT
        d.model_name, d.complexity_level, d.routed_count, d.success_count, d.failure_count, d.blameless_count,
        d.linked_decision_count, d.unlinked_routed_count, d.unlinked_resolved_count, d.response_time_count,
        d.response_time_sum_ms, d.response_times, d.last_reported_score, d.last_reported_msg_id, d.updated_at
    FROM unnest(deltas) AS d
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
            WHEN excluded.last_reported_msg_id > coalesce(m.last_reported_msg_id, 0)
            THEN excluded.last_reported_score ELSE m.last_reported_score
        END,
        last_reported_msg_id = greatest(m.last_reported_msg_id, excluded.last_reported_msg_id),
        updated_at = greatest(m.updated_at, excluded.updated_at);
END
$$;

COMMENT ON FUNCTION centralcloud.add_metrics IS 'adds to the lifetime counters in model_routing_metrics';
