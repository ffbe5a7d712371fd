-- Deletes evidence by task type without a record behind it. Served by the primary key.
DELETE FROM public.task_evidence
WHERE slice_no = %(slice_no)s AND model_name = %(model_name)s AND complexity_level = %(complexity_level)s
  AND task_no = %(task_no)s AND instance_id = %(instance_id)s;
