-- Sums over the newest outcomes of a time for estimates by inverse propensity, by complexity and model. A propensity below 0.001
-- counts as 0.001. Served by the primary key of each partition, backwards: the cost is that of `most` outcomes at most.
SELECT
    complexity, model,
    count(*) AS outcomes,
    count(*) FILTER (WHERE success) AS successes,
    count(weight) AS weighed,
    coalesce(sum(weight), 0) AS weight,
    coalesce(sum(weight) FILTER (WHERE success), 0) AS success_weight,
    coalesce(sum(weight * weight), 0) AS squared_weight,
    coalesce(sum(weight * weight) FILTER (WHERE success), 0) AS squared_success_weight
FROM (
    SELECT
        complexity, model, outcome = 'success' AS success,
        CASE WHEN propensity IS NOT NULL THEN 1 / greatest(propensity, 0.001) END AS weight
    FROM public.routing_records
    WHERE created_at >= %(since)s AND created_at < %(until)s
      AND (outcome = 'success' OR outcome = 'failure' AND NOT coalesce(error_kind IN ('caller', 'policy'), false))
    ORDER BY id DESC
    LIMIT %(most)s
) AS newest
GROUP BY 1, 2
ORDER BY 1, 2;
