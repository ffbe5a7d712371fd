-- The evidence of one slice by task type, from those of its records that have one; the columns are counted as in gather_evidence.
-- Served by the primary key of each partition: the cost is that of the slice's own records.
INSERT INTO public.task_evidence (
    slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
    graded_reward_squares
)
SELECT
    r.slice_no, model, complexity, coalesce(task_no, 0), instance_id,
    count(*) FILTER (WHERE success),
    count(*) FILTER (WHERE failure),
    count(graded) FILTER (WHERE success),
    coalesce(sum(graded), 0),
    coalesce(sum(graded * graded), 0)
FROM public.evidence_of_records r
LEFT JOIN public.task_types t ON t.name = learned_task_type
WHERE r.slice_no = %(slice_no)s
  AND id > (SELECT after_record_id FROM public.evidence_slices WHERE slice_no = %(slice_no)s)
  AND id <= coalesce(
      (SELECT after_record_id FROM public.evidence_slices WHERE slice_no = %(slice_no)s + 1), 9223372036854775807
  )
  AND learned_task_type IS NOT NULL
GROUP BY r.slice_no, model, complexity, coalesce(task_no, 0), instance_id;
