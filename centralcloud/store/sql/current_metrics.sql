-- Every pair's counters; the table has one row a pair.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    usage_count,
    routed_count,
    success_count,
    failure_count,
    blameless_count,
    success_count::double precision / nullif(success_count + failure_count, 0) AS success_rate,
    success_count::double precision / nullif(usage_count, 0) AS success_per_use,
    avg_response_time,
    response_time_count,
    response_time_sum_ms,
    last_reported_score,
    updated_at
FROM model_routing_metrics
ORDER BY model_name, complexity_level;
