-- Adds the counters of some models to those of another one. Its newest response times are read again afterwards. Served by the
-- unique key.
WITH gone AS (
    DELETE FROM public.model_routing_metrics WHERE model_name = ANY (%(old)s) RETURNING *
), delta AS (
    SELECT
        %(new)s::varchar, complexity_level, sum(routed_count)::bigint, sum(success_count)::bigint, sum(failure_count)::bigint,
        sum(blameless_count)::bigint, sum(linked_decision_count)::bigint, sum(unlinked_routed_count)::bigint,
        sum(unlinked_resolved_count)::bigint, sum(response_time_count)::bigint, sum(response_time_sum_ms)::bigint,
        '{}'::integer[],
        (array_agg(last_reported_score ORDER BY last_reported_msg_id DESC NULLS LAST))[1],
        (array_agg(last_reported_msg_id ORDER BY last_reported_msg_id DESC NULLS LAST))[1],
        max(updated_at)
    FROM gone GROUP BY complexity_level
)
SELECT centralcloud.add_metrics(array_agg(delta::centralcloud.metric_delta ORDER BY complexity_level COLLATE "C")) FROM delta;
