-- The evidence of some pairs by task type, slice by slice, after one slice and through another (NULL: also the open one), without
-- that of some instances and of retired models. Served by idx_task_evidence_slice_no: the cost is that of the rows since. Slices
-- that were gathered by an earlier revision have none. Names are ordered as ingest and Python do.
SELECT
    e.slice_no,
    e.model_name AS model,
    e.complexity_level AS complexity,
    coalesce(t.name, 'other') AS task_type,
    sum(e.successes + e.failures)::double precision AS outcomes,
    sum(e.successes - e.graded_successes)::double precision + sum(e.graded_reward) AS reward
FROM public.task_evidence e
LEFT JOIN public.task_types t USING (task_no)
WHERE e.slice_no > %(after_slice)s
  AND e.slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
  AND e.instance_id <> ALL (%(excluded)s)
  AND (e.model_name, e.complexity_level) IN (SELECT * FROM unnest(%(models)s::varchar[], %(complexities)s::varchar[]))
  AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = e.model_name)
GROUP BY e.slice_no, e.model_name, e.complexity_level, t.name
ORDER BY e.slice_no, e.model_name COLLATE "C", e.complexity_level COLLATE "C", coalesce(t.name, 'other') COLLATE "C";
