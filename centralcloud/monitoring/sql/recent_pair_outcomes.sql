-- Outcomes of the newest 24 hours by pair and provider, and those of the newest hour among them; without retired models. A
-- slice counts at the time when it was closed. Served by idx_evidence_slice_no: the cost grows with the evidence of one day
-- only.
SELECT
    e.model_name AS model,
    e.complexity_level AS complexity,
    e.provider,
    sum(e.successes)::bigint AS successes,
    sum(e.failures)::bigint AS failures,
    sum(e.response_time_count)::bigint AS response_time_count,
    sum(e.response_time_sum_ms)::bigint AS response_time_sum_ms,
    coalesce(sum(e.successes) FILTER (WHERE s.closed_at > now() - interval '1 hour'), 0)::bigint AS successes_last_hour,
    coalesce(sum(e.failures) FILTER (WHERE s.closed_at > now() - interval '1 hour'), 0)::bigint AS failures_last_hour
FROM evidence e
JOIN evidence_slices s USING (slice_no)
WHERE e.slice_no >= (SELECT min(slice_no) FROM evidence_slices WHERE closed_at > now() - interval '24 hours')
  AND s.closed_at > now() - interval '24 hours'
  AND NOT EXISTS (SELECT FROM retired_models r WHERE r.model_name = e.model_name)
GROUP BY e.model_name, e.complexity_level, e.provider
ORDER BY e.model_name, e.complexity_level, e.provider;
