-- Deletes evidence without a record behind it. Served by the primary key.
DELETE FROM public.evidence
WHERE slice_no = %(slice_no)s AND model_name = %(model_name)s AND complexity_level = %(complexity_level)s
  AND provider = %(provider)s AND instance_id = %(instance_id)s;
