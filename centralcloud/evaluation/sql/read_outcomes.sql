-- The newest outcomes of first attempts in a time, newest first, and why one says nothing about the choice of its model. Blameless
-- failures say nothing about a model. Served by the primary key of each partition, backwards: the cost is that of `most` outcomes.
SELECT
    complexity, model,
    coalesce(reward, CASE WHEN outcome = 'success' THEN 1.0 ELSE 0.0 END)::float8 AS x,
    propensity,
    task_type,
    coalesce(array_to_string(capabilities_required, ' '), '') AS needs,
    CASE
        WHEN user_model_request IS NOT NULL THEN 'requested'
        WHEN propensity IS NULL THEN 'not_drawn'
        WHEN preference IS NOT NULL THEN 'preference'
    END AS left_out,
    created_at AS at
FROM public.routing_records
WHERE created_at >= %(since)s AND created_at < %(until)s
  AND (attempt IS NULL OR attempt = 1)
  AND (outcome = 'success' OR outcome = 'failure' AND NOT coalesce(error_kind IN ('caller', 'policy'), false))
ORDER BY id DESC
LIMIT %(most)s;
