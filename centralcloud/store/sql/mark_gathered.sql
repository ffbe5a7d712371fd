-- Records that the evidence of a slice is complete, also that by task type. Served by the primary key.
UPDATE public.evidence_slices SET gathered_at = clock_timestamp(), by_task_type = true WHERE slice_no = %(slice_no)s;
