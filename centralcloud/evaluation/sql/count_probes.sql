-- Decisions with an outcome by hour, complexity and model, probes and others apart: of the newest `most` records of a time. Served by
-- the primary key of each partition, backwards. The mark of a probe is in the decision, so that events without an id are left out;
-- and so is the cost of a request that waits for feedback.
WITH near AS MATERIALIZED (
    SELECT
        created_at, instance_id, decision_id, complexity, model, outcome,
        outcome = 'routed' AND coalesce(extra ->> 'probe' = 'true', false) AS probe,
        CASE
            WHEN outcome = 'success' THEN coalesce(reward, 1.0)
            WHEN outcome = 'failure' AND NOT coalesce(error_kind IN ('caller', 'policy'), false) THEN coalesce(reward, 0.0)
        END::float8 AS x,
        coalesce(cost_nano_usd / 1e9, cost_usd)::float8 AS cost_usd
    FROM public.routing_records
    WHERE created_at >= %(since)s AND created_at < %(until)s AND decision_id IS NOT NULL AND coalesce(attempt, 1) = 1
    ORDER BY id DESC
    LIMIT %(most)s
), decided AS (
    SELECT
        max(created_at) AS at, max(complexity) AS complexity, max(model) AS model, bool_or(probe) AS probe, max(x) AS x,
        max(cost_usd) AS cost_usd
    FROM near
    GROUP BY instance_id, decision_id
    HAVING count(x) > 0 AND bool_or(outcome = 'routed')
)
SELECT
    date_bin('1 hour', at, %(since)s) AS hour, complexity, model, probe,
    count(*) AS outcomes, sum(x) AS total, sum(x * x) AS squares, count(cost_usd) AS priced, coalesce(sum(cost_usd), 0) AS cost_usd,
    (SELECT count(*) FROM near) AS records,
    (SELECT min(created_at) FROM near) AS first_at
FROM decided
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4;
