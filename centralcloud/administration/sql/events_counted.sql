-- The events that the aggregates count now, before a repair. Reads whole tables: for a repair only.
SELECT
    (SELECT coalesce(sum(routed + successes + failures + blameless), 0)::bigint FROM public.evidence) AS evidence,
    (SELECT coalesce(sum(routed_count + success_count + failure_count + blameless_count), 0)::bigint FROM public.model_routing_metrics)
        AS metrics;
