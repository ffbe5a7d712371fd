-- Outcomes of first attempts in a time, by complexity and task type: the ones nearest to `edge`, at most `most` of them. Served by
-- the primary key of each partition, from the records of the slices that were open then: the cost is that of this time.
WITH slices AS MATERIALIZED (
    SELECT
        coalesce(min(after_record_id) FILTER (WHERE coalesce(closed_at, 'infinity') >= %(since)s - interval '15 minutes'), 0) AS first,
        min(after_record_id) FILTER (WHERE opened_at > %(until)s + interval '1 hour' AND opened_at <= now()) AS last
    FROM public.evidence_slices
), near AS (
    SELECT
        complexity, coalesce(task_type, '') AS task_type, created_at,
        coalesce(reward, CASE WHEN outcome = 'success' THEN 1.0 ELSE 0.0 END)::float8 AS x
    FROM public.routing_records
    WHERE id > (SELECT first FROM slices) AND id <= coalesce((SELECT last FROM slices), 9223372036854775807)
      AND created_at >= %(since)s AND created_at < %(until)s
      AND (attempt IS NULL OR attempt = 1)
      AND (outcome = 'success' OR outcome = 'failure' AND NOT coalesce(error_kind IN ('caller', 'policy'), false))
    ORDER BY CASE WHEN %(newest)s THEN -id ELSE id END
    LIMIT %(most)s
)
SELECT complexity, task_type, count(*) AS outcomes, sum(x) AS total, sum(x * x) AS squares, min(created_at) AS first_at, max(created_at) AS last_at
FROM near
GROUP BY complexity, task_type
ORDER BY complexity, task_type;
