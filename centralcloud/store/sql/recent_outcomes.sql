-- Outcomes of every instance in the newest slices. Served by idx_evidence_slice_no.
SELECT
    instance_id, model_name, complexity_level, sum(successes + failures)::double precision, sum(successes)::double precision
FROM evidence
WHERE slice_no > %(after_slice)s
  AND slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
  AND NOT EXISTS (SELECT FROM retired_models r WHERE r.model_name = evidence.model_name)
GROUP BY instance_id, model_name, complexity_level
HAVING sum(successes + failures) > 0;
