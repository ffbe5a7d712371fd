CREATE OR REPLACE FUNCTION centralcloud.add_dropped_metrics(deltas centralcloud.metric_delta[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
-- As centralcloud.add_metrics, for the share of the counters whose records were dropped. Response times are not kept.
BEGIN
    INSERT INTO public.dropped_metrics AS m (
        model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
        unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
        last_reported_msg_id
    )
    SELECT
        d.model_name, d.complexity_level, d.routed_count, d.success_count, d.failure_count, d.blameless_count,
        d.linked_decision_count, d.unlinked_routed_count, d.unlinked_resolved_count, d.response_time_count,
        d.response_time_sum_ms, d.last_reported_score, d.last_reported_msg_id
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
        last_reported_score = CASE
            WHEN excluded.last_reported_msg_id > m.last_reported_msg_id OR m.last_reported_msg_id IS NULL
            THEN excluded.last_reported_score ELSE m.last_reported_score
        END,
        last_reported_msg_id = greatest(m.last_reported_msg_id, excluded.last_reported_msg_id);
END
$$;

COMMENT ON FUNCTION centralcloud.add_dropped_metrics IS 'adds to dropped_metrics';
