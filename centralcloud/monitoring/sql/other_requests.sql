-- Requests of the newest 24 hours in all, and those under the given model. Served by the primary key.
SELECT
    coalesce(sum(total_requests), 0)::bigint AS requests,
    coalesce(sum(total_requests) FILTER (WHERE model_name = %(other)s), 0)::bigint AS other
FROM public.model_performance
WHERE window_start > now() - interval '24 hours' AND window_start <= now();  -- not of a clock that was ahead
