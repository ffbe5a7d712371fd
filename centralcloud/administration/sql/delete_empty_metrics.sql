-- Deletes pairs without a single recorded event. The table has one row a pair.
DELETE FROM public.model_routing_metrics
WHERE usage_count = 0 AND routed_count + success_count + failure_count + blameless_count = 0;
