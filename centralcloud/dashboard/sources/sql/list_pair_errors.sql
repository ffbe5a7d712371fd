-- The failures of a pair by kind, in the newest 20,000 events of the last 24 hours: no index serves the kinds of one pair, and
-- reading all events of a day would take seconds. Served by the primary keys of the partitions, backwards.
SELECT coalesce(error_kind, '') AS kind, count(*) AS failures
FROM (
    SELECT model, complexity, outcome, error_kind
    FROM public.routing_records
    WHERE created_at > now() - interval '24 hours'
    ORDER BY id DESC
    LIMIT 20000
) AS newest
WHERE model = %(model)s AND complexity = %(complexity)s AND outcome = 'failure'
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 50;
