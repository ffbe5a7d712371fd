-- Decisions with an outcome by time, complexity and model, probes and others apart, of the newest `most` records: in 672 parts of
-- their time, hours of four weeks. Served by the primary key of each partition, backwards. The mark of a probe is in the decision, so
-- that events without an id are left out; and so is the cost of a request that waits for feedback.
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
    WHERE created_at >= %(since)s AND created_at < %(until)s AND decision_id IS NOT NULL AND (attempt IS NULL OR attempt = 1)
    ORDER BY id DESC
    LIMIT %(most)s
), span AS (
    SELECT count(*) AS records, min(created_at) AS first_at, greatest(interval '1 second', (max(created_at) - min(created_at)) / 672) AS part
    FROM near
), decided AS (
    SELECT
        max(created_at) AS at, max(complexity) AS complexity, max(model) AS model, bool_or(probe) AS probe, max(x) AS x,
        max(cost_usd) AS cost_usd
    FROM near
    GROUP BY instance_id, decision_id
    HAVING count(x) > 0 AND bool_or(outcome = 'routed')
)
SELECT
    date_bin(part, at, %(since)s) AS begins, complexity, model, probe,
    count(*) AS outcomes, sum(x) AS total, sum(x * x) AS squares, count(cost_usd) AS priced, coalesce(sum(cost_usd), 0) AS cost_usd,
    records, first_at
FROM decided CROSS JOIN span
GROUP BY begins, complexity, model, probe, records, first_at
ORDER BY 1, 2, 3, 4;
