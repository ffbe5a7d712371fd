-- Decisions and outcomes of the last 24 hours by 48 parts of that time, model and complexity. A slice counts at the time when it
-- was closed, the open one now. With less than 24 hours of evidence the parts are shorter. Served by the primary key of
-- evidence_slices and idx_evidence_slice_no: the cost grows with the evidence of one day.
WITH slices AS MATERIALIZED (
    SELECT slice_no, coalesce(closed_at, now()) AS at
    FROM public.evidence_slices
    WHERE slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
      AND (closed_at IS NULL OR closed_at BETWEEN now() - interval '24 hours' AND now())  -- not of a clock that was ahead
), span AS (
    SELECT min(at) AS first, greatest(now() - min(at), interval '48 seconds') / 48 AS part FROM slices
)
SELECT
    date_bin(span.part, s.at, span.first) AS start,
    e.model_name AS model,
    e.complexity_level AS complexity,
    -- An instance that reports outcomes only has made as many decisions.
    greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless))::bigint AS decisions,
    sum(e.successes)::bigint AS successes,
    sum(e.failures)::bigint AS failures
FROM span
CROSS JOIN slices s
JOIN public.evidence e USING (slice_no)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
