-- The failures of a pair by kind, in the newest 20,000 events of the last 24 hours: no index serves the kinds of one pair, and
-- reading all events of a day would take seconds. Served by the primary keys of the partitions, backwards. `since`: when these
-- events begin; empty: they are all events of the 24 hours. Without a failure one row, whose kind is empty.
WITH newest AS MATERIALIZED (
    SELECT created_at, model, complexity, outcome, error_kind
    FROM public.routing_records
    WHERE created_at > now() - interval '24 hours'
    ORDER BY id DESC
    LIMIT 20000
), failures AS (
    SELECT coalesce(error_kind, '') AS kind, count(*) AS failures
    FROM newest
    WHERE model = %(model)s AND complexity = %(complexity)s AND outcome = 'failure'
    GROUP BY 1
    ORDER BY 2 DESC, 1
    LIMIT 50
)
SELECT span.since, failures.kind, failures.failures
FROM (SELECT CASE WHEN count(*) = 20000 THEN min(created_at) END AS since FROM newest) AS span
LEFT JOIN failures ON true
ORDER BY 3 DESC, 2;
