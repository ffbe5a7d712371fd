-- Records that the evidence of a slice is complete. Served by the primary key.
UPDATE public.evidence_slices SET gathered_at = clock_timestamp() WHERE slice_no = %(slice_no)s;
