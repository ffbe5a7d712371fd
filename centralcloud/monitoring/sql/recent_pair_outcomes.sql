-- Decisions and outcomes of the newest 24 hours by pair and provider, and those of the newest hour among them; without retired
-- models. A slice counts at the time when it was closed. An instance that reports outcomes only has made as many decisions.
-- Served by idx_evidence_slice_no: the cost grows with the evidence of one day only.
SELECT
    model, complexity, provider,
    sum(greatest(routed, resolved))::bigint AS decisions,
    sum(greatest(routed_last_hour, resolved_last_hour))::bigint AS decisions_last_hour,
    sum(successes)::bigint AS successes,
    sum(failures)::bigint AS failures,
    sum(response_time_count)::bigint AS response_time_count,
    sum(response_time_sum_ms)::bigint AS response_time_sum_ms,
    sum(successes_last_hour)::bigint AS successes_last_hour,
    sum(failures_last_hour)::bigint AS failures_last_hour,
    sum(cost_count)::bigint AS cost_count
FROM (
    SELECT
        e.model_name AS model,
        e.complexity_level AS complexity,
        e.provider,
        sum(e.routed) AS routed,
        sum(e.successes + e.failures + e.blameless) AS resolved,
        coalesce(sum(e.routed) FILTER (WHERE s.closed_at > now() - interval '1 hour'), 0) AS routed_last_hour,
        coalesce(
            sum(e.successes + e.failures + e.blameless) FILTER (WHERE s.closed_at > now() - interval '1 hour'), 0
        ) AS resolved_last_hour,
        sum(e.successes) AS successes,
        sum(e.failures) AS failures,
        sum(e.response_time_count) AS response_time_count,
        sum(e.response_time_sum_ms) AS response_time_sum_ms,
        coalesce(sum(e.successes) FILTER (WHERE s.closed_at > now() - interval '1 hour'), 0) AS successes_last_hour,
        coalesce(sum(e.failures) FILTER (WHERE s.closed_at > now() - interval '1 hour'), 0) AS failures_last_hour,
        sum(e.cost_count) AS cost_count
    FROM public.evidence e
    JOIN public.evidence_slices s USING (slice_no)
    WHERE e.slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
      AND s.closed_at BETWEEN now() - interval '24 hours' AND now() + interval '5 minutes'  -- not of a clock that was ahead
      AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = e.model_name)
    GROUP BY e.model_name, e.complexity_level, e.provider, e.instance_id
) AS by_instance
GROUP BY model, complexity, provider
ORDER BY model, complexity, provider;
