-- What has come in for each pair since its last evaluation, through a slice (NULL: also what is still coming in), with the
-- score it has now. Served pair by pair by the primary key of evidence: the cost is that of the fresh rows.
SELECT
    m.model_name,
    m.complexity_level,
    coalesce(s.evaluated_through_slice, 0) AS after_slice,
    s.score AS learned_score,
    m.last_reported_score,
    fresh.*
FROM model_routing_metrics m
LEFT JOIN model_scores s USING (model_name, complexity_level)
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(e.routed), 0)::bigint AS routed,
        coalesce(sum(e.successes), 0)::bigint AS successes,
        coalesce(sum(e.failures), 0)::bigint AS failures,
        coalesce(sum(e.blameless), 0)::bigint AS blameless,
        coalesce(sum(e.response_time_count), 0)::bigint AS response_time_count,
        coalesce(sum(e.response_time_sum_ms), 0)::bigint AS response_time_sum_ms
    FROM evidence e
    WHERE e.model_name = m.model_name
      AND e.complexity_level = m.complexity_level
      AND e.slice_no > coalesce(s.evaluated_through_slice, 0)
      AND e.slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
) AS fresh
ORDER BY m.model_name, m.complexity_level;
