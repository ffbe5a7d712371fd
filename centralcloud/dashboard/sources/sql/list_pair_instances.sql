-- The outcomes of a pair in the last 24 hours by instance, those with the most failures first. Served by the primary keys of
-- evidence and evidence_slices: the cost grows with the evidence of one pair and one day.
SELECT
    instance_id,
    sum(successes)::bigint AS successes,
    sum(failures)::bigint AS failures,
    sum(blameless)::bigint AS blameless
FROM public.evidence
WHERE model_name = %(model)s
  AND complexity_level = %(complexity)s
  AND slice_no >= (SELECT min(slice_no) FROM public.evidence_slices WHERE closed_at > now() - interval '24 hours')
GROUP BY instance_id
HAVING sum(successes + failures + blameless) > 0
ORDER BY sum(failures) DESC, sum(successes) DESC, instance_id
LIMIT 201;
