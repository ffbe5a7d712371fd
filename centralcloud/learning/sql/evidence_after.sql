-- The evidence of some pairs, slice by slice, after one slice and through another (NULL: also the open one), without that of some
-- instances. All other pairs, and those of retired models, are one row a slice, without a name. Served by idx_evidence_slice_no:
-- the cost is that of the rows since. Names are ordered as ingest and Python do.
SELECT
    e.slice_no,
    learned.model AS model_name,
    learned.complexity AS complexity_level,
    sum(e.successes + e.failures)::double precision AS outcomes,
    sum(e.successes)::double precision AS successes,
    sum(e.successes - e.graded_successes)::double precision + sum(e.graded_reward) AS reward,
    sum(e.successes - e.graded_successes)::double precision + sum(e.graded_reward_squares) AS reward_squares,
    sum(e.response_time_count)::double precision AS timed,
    sum(e.response_time_sum_ms)::double precision AS response_time_ms,
    sum(e.capped_response_time_sum_ms)::double precision / s.latency_ref_ms AS latency,
    sum(e.cost_count)::double precision AS priced,
    sum(e.capped_cost_sum_usd) / s.cost_ref_usd AS cost,
    sum(e.routed)::double precision AS routed,
    sum(e.blameless)::double precision AS blameless,
    sum(e.late)::double precision AS late
FROM public.evidence e
JOIN public.evidence_slices s USING (slice_no)
LEFT JOIN (
    SELECT model, complexity FROM unnest(%(models)s::varchar[], %(complexities)s::varchar[]) AS pair (model, complexity)
    WHERE NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = pair.model)
) AS learned ON learned.model = e.model_name AND learned.complexity = e.complexity_level
WHERE e.slice_no > %(after_slice)s
  AND e.slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
  AND s.slice_no > %(after_slice)s  -- repeated, so that only these slices are read
  AND s.slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
  AND e.instance_id <> ALL (%(excluded)s)
GROUP BY e.slice_no, learned.model, learned.complexity, s.latency_ref_ms, s.cost_ref_usd
ORDER BY e.slice_no, learned.model COLLATE "C", learned.complexity COLLATE "C";
