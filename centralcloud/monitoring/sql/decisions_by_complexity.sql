-- Decisions of the newest 24 hours by complexity. An instance that reports outcomes only has made as many. A slice counts at the
-- time when it was closed. Served by idx_evidence_slice_no: the cost grows with the evidence of one day only.
SELECT complexity, sum(decisions)::bigint AS decisions
FROM (
    SELECT
        e.complexity_level AS complexity,
        greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless)) AS decisions
    FROM public.evidence e
    JOIN public.evidence_slices s USING (slice_no)
    WHERE e.slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
      AND s.closed_at BETWEEN now() - interval '24 hours' AND now() + interval '5 minutes'  -- not of a clock that was ahead
    GROUP BY e.complexity_level, e.instance_id
) AS of_instances
GROUP BY complexity;
