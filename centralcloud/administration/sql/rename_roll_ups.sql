-- Gives the hours of some models the name of another one, and adds up equal ones: sums and counts are added, means are weighted.
-- The percentiles of both together lie between those of each: the greater one is kept. Reads all roll-ups.
WITH gone AS (
    DELETE FROM public.model_performance WHERE model_name = ANY (%(old)s) RETURNING *
)
INSERT INTO public.model_performance AS p (
    window_start, window_end, model_name, complexity_level, provider, instance_id, total_requests, successful_requests,
    failed_requests, blameless_requests, avg_response_time_ms, p50_response_time_ms, p95_response_time_ms,
    p99_response_time_ms, total_cost, total_tokens, avg_tokens_used, cost_nano_usd, id
)
SELECT
    window_start, max(window_end), %(new)s::text, complexity_level, provider, instance_id, sum(total_requests), sum(successful_requests),
    sum(failed_requests), sum(blameless_requests),
    sum(avg_response_time_ms * (successful_requests + failed_requests))
        / nullif(sum(successful_requests + failed_requests) FILTER (WHERE avg_response_time_ms IS NOT NULL), 0),
    max(p50_response_time_ms), max(p95_response_time_ms), max(p99_response_time_ms), sum(total_cost), sum(total_tokens),
    sum(total_tokens) FILTER (WHERE avg_tokens_used > 0) / nullif(sum(total_tokens / nullif(avg_tokens_used, 0)), 0),
    sum(coalesce(cost_nano_usd, round(total_cost::numeric * 1000000000))),
    centralcloud.usage_key(ARRAY[extract(epoch FROM window_start)::text, %(new)s::text, complexity_level, provider, instance_id])
FROM gone
GROUP BY window_start, complexity_level, provider, instance_id
ON CONFLICT (window_start, model_name, complexity_level, provider, instance_id) DO UPDATE SET
    total_requests = p.total_requests + excluded.total_requests,
    successful_requests = p.successful_requests + excluded.successful_requests,
    failed_requests = p.failed_requests + excluded.failed_requests,
    blameless_requests = p.blameless_requests + excluded.blameless_requests,
    avg_response_time_ms = CASE
        WHEN p.avg_response_time_ms IS NULL THEN excluded.avg_response_time_ms
        WHEN excluded.avg_response_time_ms IS NULL THEN p.avg_response_time_ms
        ELSE (
            p.avg_response_time_ms * (p.successful_requests + p.failed_requests)
            + excluded.avg_response_time_ms * (excluded.successful_requests + excluded.failed_requests)
        ) / (p.successful_requests + p.failed_requests + excluded.successful_requests + excluded.failed_requests)
    END,
    p50_response_time_ms = greatest(p.p50_response_time_ms, excluded.p50_response_time_ms),
    p95_response_time_ms = greatest(p.p95_response_time_ms, excluded.p95_response_time_ms),
    p99_response_time_ms = greatest(p.p99_response_time_ms, excluded.p99_response_time_ms),
    total_cost = p.total_cost + excluded.total_cost,
    cost_nano_usd = coalesce(p.cost_nano_usd, round(p.total_cost::numeric * 1000000000)) + excluded.cost_nano_usd,
    total_tokens = p.total_tokens + excluded.total_tokens,
    avg_tokens_used = CASE
        WHEN p.avg_tokens_used IS NULL THEN excluded.avg_tokens_used
        WHEN excluded.avg_tokens_used IS NULL THEN p.avg_tokens_used
        ELSE (p.total_tokens + excluded.total_tokens)
            / (p.total_tokens / p.avg_tokens_used + excluded.total_tokens / excluded.avg_tokens_used)
    END;
