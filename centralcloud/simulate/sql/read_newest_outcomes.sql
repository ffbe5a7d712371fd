-- The newest outcomes of a time, with what is known of each. Blameless failures say nothing about a model.
-- Served by the primary key of each partition, backwards: the cost is that of `most` outcomes at most.
SELECT
    complexity, model,
    coalesce(reward, CASE WHEN outcome = 'success' THEN 1.0 ELSE 0.0 END)::float8 AS reward,
    response_time_ms::float8 AS latency_ms,
    coalesce(cost_nano_usd / 1e9, cost_usd)::float8 AS cost_usd,
    greatest(propensity, 0.001)::float8 AS propensity
FROM public.routing_records
WHERE created_at >= %(since)s AND created_at < %(until)s
  AND (outcome = 'success' OR outcome = 'failure' AND NOT coalesce(error_kind IN ('caller', 'policy'), false))
ORDER BY id DESC
LIMIT %(most)s;
