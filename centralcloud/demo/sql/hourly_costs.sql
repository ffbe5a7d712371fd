-- Cost of each pair in USD, from the hourly roll-up.
SELECT model_name AS model, complexity_level AS complexity, sum(total_cost)::float8 AS cost_usd
FROM public.dashboard_hourly_performance
GROUP BY model_name, complexity_level;
