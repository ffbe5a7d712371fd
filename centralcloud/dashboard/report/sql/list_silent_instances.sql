-- Instances with decisions and without any outcome in a time, those with the most decisions first. Served by the primary key of
-- model_performance, which begins with window_start.
SELECT instance_id AS instance, sum(total_requests)::bigint AS decisions
FROM public.model_performance
WHERE window_start >= %(since)s - interval '1 hour' AND window_start < %(until)s
GROUP BY 1
HAVING sum(total_requests) >= %(least)s AND sum(successful_requests + failed_requests + blameless_requests) = 0
ORDER BY 2 DESC, 1
LIMIT 50;
