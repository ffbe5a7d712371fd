-- Adds the corrections that a recount found to the counters of one pair; ingest may have added to them in between.
-- Served by the unique key.
SELECT centralcloud.add_metrics(ARRAY[ROW(
    %(model_name)s::varchar, %(complexity_level)s::varchar, %(routed_count)s, %(success_count)s, %(failure_count)s,
    %(blameless_count)s, %(linked_decision_count)s, %(unlinked_routed_count)s, %(unlinked_resolved_count)s,
    %(response_time_count)s, %(response_time_sum_ms)s, '{}', NULL, NULL,
    coalesce(
        (SELECT updated_at FROM public.model_routing_metrics
         WHERE model_name = %(model_name)s::varchar AND complexity_level = %(complexity_level)s::varchar),
        now()
    )
)::centralcloud.metric_delta]);
