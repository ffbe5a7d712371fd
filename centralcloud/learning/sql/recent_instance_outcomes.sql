-- Outcomes of every instance with some pairs in the newest slices (how many is a parameter) through one (NULL: also the open one). Served by the
-- primary key of evidence_slices, and by idx_evidence_slice_no.
SELECT
    instance_id,
    model_name AS model,
    complexity_level AS complexity,
    sum(successes + failures)::double precision AS outcomes,
    sum(successes - graded_successes)::double precision + sum(graded_reward) AS reward
FROM public.evidence
WHERE slice_no > coalesce((
      SELECT slice_no FROM public.evidence_slices
      WHERE slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
      ORDER BY slice_no DESC OFFSET %(slices)s LIMIT 1
  ), 0)
  AND slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
  AND (model_name, complexity_level) IN (SELECT * FROM unnest(%(models)s::varchar[], %(complexities)s::varchar[]))
  AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = evidence.model_name)
GROUP BY instance_id, model_name, complexity_level
HAVING sum(successes + failures) > 0;
