-- The lifetime counters of each pair, without retired models. One row a pair.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    usage_count AS decisions,
    success_count + failure_count AS outcomes,
    blameless_count AS blameless,
    linked_decision_count AS linked_decisions,
    least(linked_decision_count, greatest(0, success_count + failure_count + blameless_count - unlinked_resolved_count))
        AS linked_outcomes
FROM public.model_routing_metrics m
WHERE NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = m.model_name)
ORDER BY model_name, complexity_level;
