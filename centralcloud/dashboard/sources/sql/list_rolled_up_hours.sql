-- Complete hours by complexity. Served by the primary key of model_performance, which begins with window_start.
SELECT
    window_start AS hour, complexity_level AS complexity, sum(total_requests)::bigint AS decisions,
    sum(successful_requests)::bigint AS successes, sum(failed_requests)::bigint AS failures,
    sum(coalesce(cost_nano_usd, round(total_cost::numeric * 1000000000)))::bigint AS cost_nano_usd
FROM public.model_performance
WHERE window_start > %(since)s - interval '1 hour' AND window_start < least(%(until)s, %(complete_until)s)
GROUP BY 1, 2
ORDER BY 1, 2;
