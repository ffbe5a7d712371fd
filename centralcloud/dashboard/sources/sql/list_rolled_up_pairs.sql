-- The pairs of a time. Amounts are those of complete hours; the first and the last hour count as far as they lie in the time.
-- Response times are the means of the hours' percentiles, weighed by their outcomes, with what is known of the hour that runs.
-- Served by the primary key of model_performance, which begins with window_start.
SELECT
    model_name AS model, complexity_level AS complexity,
    coalesce(sum(part * total_requests) FILTER (WHERE complete), 0)::double precision AS decisions,
    coalesce(sum(part * successful_requests) FILTER (WHERE complete), 0)::double precision AS successes,
    coalesce(sum(part * failed_requests) FILTER (WHERE complete), 0)::double precision AS failures,
    coalesce(sum(part * coalesce(cost_nano_usd, round(total_cost::numeric * 1000000000))) FILTER (WHERE complete), 0)::double precision
        AS cost_nano_usd,
    sum(p50_response_time_ms * outcomes) / nullif(sum(outcomes) FILTER (WHERE p50_response_time_ms IS NOT NULL), 0) AS p50_ms,
    sum(p95_response_time_ms * outcomes) / nullif(sum(outcomes) FILTER (WHERE p95_response_time_ms IS NOT NULL), 0) AS p95_ms
FROM (
    SELECT
        *, window_start < %(complete_until)s AS complete, (successful_requests + failed_requests)::double precision AS outcomes,
        extract(epoch FROM least(window_end, %(until)s) - greatest(window_start, %(since)s)) / 3600 AS part
    FROM public.model_performance
    WHERE window_start > %(since)s - interval '1 hour' AND window_start < %(until)s
) AS hour
GROUP BY 1, 2
ORDER BY 1, 2;
