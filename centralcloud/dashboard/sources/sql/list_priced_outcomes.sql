-- How many outcomes of each pair came with a cost, in the slices that were closed in a time. Old slices are longer: the time is
-- exact to a twentieth of its age. Served by idx_evidence_slice_no.
SELECT
    e.model_name AS model, e.complexity_level AS complexity, sum(e.successes + e.failures)::bigint AS outcomes,
    sum(e.cost_count)::bigint AS priced, sum(e.cost_usd) AS cost_usd
FROM (SELECT slice_no FROM public.evidence_slices WHERE closed_at >= %(since)s AND closed_at < %(until)s) AS s
JOIN public.evidence e USING (slice_no)
GROUP BY 1, 2;
