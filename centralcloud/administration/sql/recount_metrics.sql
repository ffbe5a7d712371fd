-- The lifetime counters that differ from a recount of the records, dropped ones included; null where one side has no row. Ingest
-- counts in its own code, so the view is independent of it. Goes through all records: for `verify` only.
WITH record AS (
    SELECT * FROM public.evidence_of_records
), newest AS (
    SELECT DISTINCT ON (model_name, complexity_level) *
    FROM (
        SELECT model AS model_name, complexity AS complexity_level, score, msg_id
        FROM (SELECT DISTINCT ON (model, complexity) * FROM record ORDER BY model, complexity, msg_id DESC NULLS LAST) AS kept
        UNION ALL
        SELECT model_name, complexity_level, last_reported_score, last_reported_msg_id FROM public.dropped_metrics
    ) AS reported
    ORDER BY model_name, complexity_level, msg_id DESC NULLS LAST
), counted AS (
    SELECT
        model AS model_name,
        complexity AS complexity_level,
        count(*) FILTER (WHERE routed) AS routed_count,
        count(*) FILTER (WHERE success) AS success_count,
        count(*) FILTER (WHERE failure) AS failure_count,
        count(*) FILTER (WHERE blameless) AS blameless_count,
        count(*) FILTER (WHERE first_of_decision) AS linked_decision_count,
        count(*) FILTER (WHERE decision_id IS NULL AND routed) AS unlinked_routed_count,
        count(*) FILTER (WHERE decision_id IS NULL AND NOT routed) AS unlinked_resolved_count,
        count(response_time_ms) AS response_time_count,
        coalesce(sum(response_time_ms), 0) AS response_time_sum_ms,
        count(response_time_ms) AS times_kept
    FROM record
    GROUP BY model, complexity
    UNION ALL
    SELECT
        model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
        unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, 0
    FROM public.dropped_metrics
), recount AS (
    SELECT
        model_name,
        complexity_level,
        sum(c.routed_count)::bigint AS routed_count,
        sum(c.success_count)::bigint AS success_count,
        sum(c.failure_count)::bigint AS failure_count,
        sum(c.blameless_count)::bigint AS blameless_count,
        sum(c.linked_decision_count)::bigint AS linked_decision_count,
        sum(c.unlinked_routed_count)::bigint AS unlinked_routed_count,
        sum(c.unlinked_resolved_count)::bigint AS unlinked_resolved_count,
        sum(c.response_time_count)::bigint AS response_time_count,
        sum(c.response_time_sum_ms)::bigint AS response_time_sum_ms,
        -- At least the times that the records have; times of dropped records may be left as well.
        CASE
            WHEN cardinality(m.response_times) BETWEEN least(100, sum(times_kept)) AND least(100, sum(c.response_time_count))
            THEN cardinality(m.response_times) ELSE least(100, sum(times_kept))::integer
        END AS newest_response_times,
        min(newest.score) AS last_reported_score,
        min(newest.msg_id) AS last_reported_msg_id
    FROM counted c
    JOIN newest USING (model_name, complexity_level)
    LEFT JOIN public.model_routing_metrics m USING (model_name, complexity_level)
    GROUP BY model_name, complexity_level, m.response_times
), stored AS (
    SELECT
        model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
        unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms,
        cardinality(response_times) AS newest_response_times, last_reported_score, last_reported_msg_id
    FROM public.model_routing_metrics
)
SELECT
    json_build_object('model_name', model_name, 'complexity_level', complexity_level) AS key,
    CASE WHEN s.model_name IS NOT NULL THEN to_json(s) END AS stored,
    CASE WHEN r.model_name IS NOT NULL THEN to_json(r) END AS recount
FROM stored s FULL JOIN recount r USING (model_name, complexity_level)
WHERE s IS DISTINCT FROM r
ORDER BY model_name COLLATE "C", complexity_level COLLATE "C";  -- as ingest sorts: a repair locks rows in this order
